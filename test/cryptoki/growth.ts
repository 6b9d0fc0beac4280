/** How many times as long `work` takes for `factor` times the size: about `factor` for linear work, its square for quadratic. */
export function growth(work: (size: number) => void, size: number, factor: number): number {
  return (
    best(() => {
      work(size * factor);
    }) /
    best(() => {
      work(size);
    })
  );
}

/** The shortest of several runs: what else the machine does makes a run longer, and none shorter. */
function best(work: () => void): number {
  const times = Array.from({ length: 5 }, () => {
    const begun = performance.now();
    work();
    return performance.now() - begun;
  });
  return Math.min(...times);
}
