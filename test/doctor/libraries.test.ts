import { expect, jest, test } from "@jest/globals";
import { INSTALL, LibraryMissingError, loadLibraries } from "../../src/doctor/index.ts";

test("without the optional packages the error says what to install", async () => {
  jest.unstable_mockModule("pkijs", () => {
    throw new Error("Cannot find package 'pkijs'");
  });
  const missing = loadLibraries();
  await expect(missing).rejects.toBeInstanceOf(LibraryMissingError);
  await expect(missing).rejects.toThrow(`that are not installed; run: ${INSTALL}`);
});
