import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { testPkcs15Card } from "../../virtual/keys.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

jest.setTimeout(900_000);

describe.each([{ extended: false }, { extended: true }])("GnuPG on a PKCS #15 card, extended $extended", (options) => {
  let card: PluggedIn;
  let home: string;

  beforeAll(async () => {
    requirePrograms("gpg", "gpgconf");
    home = await mkdtemp(path.join(os.tmpdir(), "gpg-"));
    // Through pcscd: scdaemon would look for a USB reader of its own before.
    await writeFile(path.join(home, "scdaemon.conf"), "disable-ccid\n");
    card = await plugIn(await testPkcs15Card(options), "Virtual PCD");
  });
  afterAll(async () => {
    await card.run("gpgconf", "--homedir", home, "--kill", "all");
    await card[Symbol.asyncDispose]();
    await rm(home, { recursive: true, force: true });
  });

  /** It reads each file until the card says that the file ends: a card that answers 9000 without data keeps it for ever. */
  test("gpg --card-status ends, and tells which card it is", async () => {
    const { code, stdout, stderr } = await card.run("timeout", "60", "gpg", "--homedir", home, "--card-status");
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/^Application type \.: PKCS#15$/mu);
  });
});
