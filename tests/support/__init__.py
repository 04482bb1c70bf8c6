"""What tests share: places, toy data, toy networks and teachers, a toy run."""
