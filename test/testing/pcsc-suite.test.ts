import { describe, test } from "@jest/globals";
import { MemoryReaders, pcscSuite } from "../../src/testing/index.ts";

const READER = "Memory Reader";

describe("the readers of this process", () => {
  const readers = new MemoryReaders();
  readers.plug(READER);
  const suite = pcscSuite({
    open: (patience) => Promise.resolve(readers.client({ patience })),
    reader: READER,
    insert: (card) => {
      readers.insert(READER, card);
      return Promise.resolve();
    },
    remove: () => {
      readers.eject(READER);
      return Promise.resolve();
    },
  });
  // Its checks throw, and need no expect().
  for (const { name, run } of suite) test(name, run);
});
