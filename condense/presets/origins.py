"""Where the settings of presets were read and how their scores were taken, by the beginning of their names.

A file that was not seen is called so. Scores of releases are often the best of several looks at the test images; here a score is that of
the last step, and `--best-on-test` shows the other beside it.
"""

from dataclasses import replace

from condense.presets.base import Origin

VICO = "VICO-UoE/DatasetCondensation, main.py, main_DM.py and utils.py"
TWENTY = "mean of the last epoch over 5 sets x 20 networks"
CHECKPOINTS = "best over distillation checkpoints of a mean over networks at their last epoch"
AT_CHECKPOINTS = "at every checkpoint that the distillation evaluates, once a network"
LAST = "once, at the last epoch"
LAST_STEP = "once, at the last step"
TENTH = "every 10 epochs of a training"
BEST_KEPT = f"{TENTH}, the best kept"
NOT_SEEN = "how it was taken was not seen"
HERE = Origin("this project's own, in condense/presets", "mean and spread over seeds, last step", looks=LAST_STEP)
NONE = "no score"
CHOSEN = "every epoch, on validation graphs"

# of this project's presets; where a claim names a recipe or a network, so does its evaluation
OURS = {
    "": HERE,
    **{f"{method}_fashion_mnist": replace(HERE, recipe="dsa") for method in ("mtt", "ftd", "ast", "datm")},
    **{f"{method}_fashion_mnist": replace(HERE, recipe="cvdd_all", net="resnet:depth=8,width=16") for method in ("sre2l", "cvdd")},
    "infer_fashion_mnist": replace(HERE, recipe="infer", net="resnet:depth=8,width=16"),
    "kip_digits": replace(HERE, recipe="krr-ntk"),
    "frepo_fashion_mnist": replace(HERE, recipe="frepo", net="convnet:width=128,norm=none"),
    "krrst_fashion_mnist": replace(HERE, transfer="--to mnist --protocol probe:0.01"),
    "mirage_nci1": replace(HERE, kind="mean and spread over seeds, at the best epoch on validation graphs", looks=CHOSEN),
}

KRRST = Origin("db-Lee/selfsup_dd, README.md, train.py, test.py and algorithms/distill.py", NONE, looks=LAST_STEP)
TARGETS = {  # its targets that are known here, each in as many steps as test.py takes; three networks are pre-trained
    "cifar100": "--to cifar100 cifar10 --protocol finetune --steps 10000 --seeds 3",
    "tiny": "--to 'folder:tiny-imagenet-200?size=64' cifar10 --protocol finetune --steps 10000 --seeds 3",
    "imagenet64": "--to cifar10 cifar100 --protocol finetune --steps 10000 --seeds 3",
    "imagenette": "--to 'folder:imagenette?size=224' --protocol finetune --steps 5000 --seeds 3",
}

# the longest beginning that fits is taken
ORIGINS = {
    "dc_": Origin(VICO, TWENTY, "dc", LAST),
    "dc_mnist": Origin(VICO, TWENTY, "dc_digits", LAST),
    "dsa_": Origin(VICO, TWENTY, "dsa", LAST),
    "dm_": Origin(VICO, "mean of the last epoch over 5 sets, as DM's README states it", "dsa", LAST),
    "mtt_": Origin(
        "GeorgeCazenavette/mtt-distillation, readme.md, distill.py and utils.py; justincui03/dc_benchmark, methods/tm/readme.md",
        CHECKPOINTS,
        "dsa",
        AT_CHECKPOINTS,
    ),
    "mtt_tesla_": Origin("justincui03/tesla, README.md and distill.py", CHECKPOINTS, "dsa", AT_CHECKPOINTS),
    "ftd_": Origin(
        "AngusDujw/FTD-distillation, Readme.md and distill/run_distill.sh, and the paper's table of settings",
        CHECKPOINTS,
        "dsa",
        AT_CHECKPOINTS,
    ),
    "ast_": Origin(
        "shenjiyuan123/AST-Alignment-with-Smooth-Expert, distill.sh", NONE, "ast", "every 20 epochs of a training, and at every checkpoint"
    ),
    "datm_": Origin("NUS-HPC-AI-Lab/DATM, configs", CHECKPOINTS, "datm", AT_CHECKPOINTS),
    "sre2l_": Origin(
        "VILA-Lab/SRe2L, SRe2L/recover, relabel and validate", f"as its README shows it; {NOT_SEEN}", looks=f"{TENTH}, best and last kept"
    ),
    "sre2l_cifar": Origin(
        "VILA-Lab/SRe2L, SRe2L/*small_dataset",
        "as the table of G-VBSM shows it; the author says 800 epochs (SRe2L#10)",
        looks=f"{TENTH}, the last kept",
    ),
    "sre2l_tiny": Origin(
        "zeyuanyin/tiny-imagenet, script/train_kd.sh and train_rn18.sh; VILA-Lab/SRe2L, *small_dataset/recover_tiny.py",
        "as the repository zeyuanyin/tiny-imagenet shows it",
        "fkd_tiny",
    ),
    "cvdd_": Origin(
        "Jiacheng8/CV-DD, recover/scripts/*.sh, relabel/scripts/*.sh and validate/train_fkd.py, and its paper", NOT_SEEN, looks=BEST_KEPT
    ),
    "fadrm_": Origin(
        "Jiacheng8/FADRM, recover/scripts/*/*.sh, recover/recover.py, relabel/relabel.py and validate/train_fkd.py",
        f"as the table in its README shows FADRM+ of ResNet-18; {NOT_SEEN}",
        looks=BEST_KEPT,
    ),
    "gvbsm_": Origin(
        "shaoshitong/G_VBSM_Dataset_Condensation, Branch_CIFAR_10/recover/recover.sh, utils.py, relabel.sh, train.sh",
        f"as later tables state it for ResNet-18; {NOT_SEEN}",
        looks=TENTH,
    ),
    "edc_": Origin(
        "shaoshitong/EDC, Branch_CIFAR_10/recover/recover.sh, utils.py, train.sh, direct_train.py; its RandAugment is left out",
        NONE,
        looks="every 10 epochs after 800",
    ),
    "infer_": Origin("zhangxin-xd/UFC, sh/ufc_cifar.sh and ufc_generation/ufc_imgnet.py", "best of the looks", looks=TENTH),
    "rded_": Origin(
        "LINs-lab/RDED, argument.py, validation/main.py, scripts/*.sh and README.md",
        "best of the looks",
        looks="every 10 epochs after 240, 6 in all",
    ),
    "nrr_": Origin("not read: NRR-DD's settings are those of this project", f"as others quote it; {NOT_SEEN}"),
    "frepo_": Origin(
        "yongchaoz/FRePo, README.md, script/distill.py, script/eval.py, lib/datadistillation/frepo.py, lib/models/networks.py and "
        "lib/dataset/ops.py",
        f"as later tables state it for FRePo; {NOT_SEEN}; its README scores `best_ckpt`, {CHECKPOINTS}",
        "frepo_released",
        AT_CHECKPOINTS,
        "convnet_frepo:norm=none",
    ),
    "kip_": Origin("google-research/google-research, kip/KIP.ipynb", NONE, "krr-ntk"),
    **{f"krrst_{source}": replace(KRRST, transfer=flags) for source, flags in TARGETS.items()},
    "mirage_": Origin(
        "frigategnn/Mirage, NCI1/graph-nci-finalize-reduce-curr.py",
        "mean test ROC-AUC of the 5 best of 10 runs by validation",
        "mirage",
        looks=CHOSEN,
        net="gcn:readout=sum",
    ),
    "pca_": Origin("its paper; a release was not seen", NONE, "rethinking_hard"),
    "doscond_": Origin("amazon-science/doscond, scripts/script.sh, main.py and graph_agent.py", NONE, looks=CHOSEN),
    "kidd_": Origin("pricexu/KIDD, commands.sh and GKRRDistill.py", NONE),
}


def origin_of(name: str, *, own: bool) -> Origin:
    """Where the values of a preset come from: what OURS holds for the longest beginning of its name if they are this project's
    `own`, else what ORIGINS holds."""
    table = OURS if own else ORIGINS
    return table[max((start for start in table if name.startswith(start)), key=len)]
