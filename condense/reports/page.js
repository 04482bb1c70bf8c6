// Sorts tables, moves sliders, and draws each chart when it comes into view.
const specs = JSON.parse(document.getElementById("charts").textContent);

const watcher = new IntersectionObserver(
  (seen) => {
    for (const one of seen) {
      if (one.isIntersecting) {
        watcher.unobserve(one.target);
        window.vegaEmbed(one.target, specs[one.target.id], { actions: false, renderer: "svg" });
      }
    }
  },
  { rootMargin: "400px" },
);
document.querySelectorAll(".chart").forEach((place) => watcher.observe(place));

function compare(a, b) {
  const numbers = [Number(a), Number(b)];
  return numbers.some(Number.isNaN) ? a.localeCompare(b) : numbers[0] - numbers[1];
}

document.querySelectorAll("table.sortable").forEach((table) => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, at) => {
    head.querySelector("button").addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => sign * compare(a.cells[at].dataset.value, b.cells[at].dataset.value));
      table.tBodies[0].append(...rows);
    });
  });
});

document.querySelectorAll(".evolution").forEach((place) => {
  const frames = JSON.parse(place.querySelector("script").textContent);
  const picture = place.querySelector("img");
  place.querySelector("input").addEventListener("input", (event) => {
    const [step, source] = frames[event.target.value];
    picture.src = source;
    place.querySelector("output").textContent = step;
  });
});

const open = () => document.querySelector(location.hash || "nothing")?.setAttribute("open", "");
window.addEventListener("hashchange", open);
open();
