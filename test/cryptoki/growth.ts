/**
 * How many times as much of the processor `work` takes for `factor` times the size: about `factor` for linear work, its square for
 * quadratic.
 */
export function growth(work: (size: number) => void, size: number, factor: number): number {
  let [small, large] = [Infinity, Infinity];
  // The least of many: what else the machine does makes a run longer, and none shorter.
  for (let round = 0; round < 20; round++) {
    small = Math.min(
      small,
      spent(() => {
        work(size);
      }),
    );
    large = Math.min(
      large,
      spent(() => {
        work(size * factor);
      }),
    );
  }
  return large / Math.max(small, 1);
}

/** Microseconds of the processor. */
function spent(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}
