/**
 * The names that were probably meant by a name that is none of them: those that it begins, else those with the fewest
 * different letters, at most a third of them. Empty if none is near.
 */
export function nearestTo(name: string, names: readonly string[]): string[] {
  const wanted = name.toLowerCase();
  const begun = wanted === "" ? [] : names.filter((one) => one.toLowerCase().startsWith(wanted));
  if (begun.length > 0) return begun;
  const far = names.map((one) => ({ one, edits: editsBetween(wanted, one.toLowerCase()) }));
  const least = Math.min(...far.map(({ edits }) => edits));
  const most = Math.max(1, Math.floor(Math.max(wanted.length, 3) / 3));
  return least > most ? [] : far.filter(({ edits }) => edits === least).map(({ one }) => one);
}

/** Letters to insert, remove, replace or swap with their neighbour, to make `to` of `from` (Damerau and Levenshtein). */
function editsBetween(from: string, to: string): number {
  let older: number[] = [];
  let before = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const now = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let edits = Math.min(
        (before[column] ?? 0) + 1,
        (now[column - 1] ?? 0) + 1,
        (before[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const isSwap = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (isSwap) edits = Math.min(edits, (older[column - 2] ?? 0) + 1);
      now.push(edits);
    }
    older = before;
    before = now;
  }
  return before[to.length] ?? 0;
}
