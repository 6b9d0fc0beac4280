/** All byte arrays that `work` makes of others, and of what Node's crypto gives. */
export async function copiesIn(work: () => Promise<unknown>): Promise<Uint8Array[]> {
  const copies: Uint8Array[] = [];
  const original = Uint8Array;
  globalThis.Uint8Array = new Proxy(original, {
    construct: (target, values: [Uint8Array]) => {
      const made = new target(...values);
      if (typeof values[0] === "object") copies.push(made);
      return made;
    },
  });
  try {
    await work();
  } finally {
    globalThis.Uint8Array = original;
  }
  return copies;
}
