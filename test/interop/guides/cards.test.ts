/** The guides for cards that begin empty, as they stand, on virtual ones. */
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { createBlankCard, plugIntoVpcd, type VirtualCard, VirtualSmartCardHsm } from "../../../src/virtual/index.ts";
import { type Pcscd, startPcscd } from "../rig/pcscd.ts";
import { requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";
import { Workplace } from "./guide.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(1_000_000);

let daemon: Pcscd;
beforeAll(async () => {
  requirePrograms("openssl", "pkcs15-tool", "opensc-tool");
  daemon = await startPcscd({ friendlyName: "Empty Cards" });
});
afterAll(() => daemon[Symbol.asyncDispose]());

/** Whether pcscd has noticed the cards. */
async function areSeen(readers: number): Promise<boolean> {
  for (let reader = 0; reader < readers; reader++) {
    const { code } = await run("opensc-tool", ["--reader", String(reader), "--atr"], { env: daemon.env });
    if (code !== 0) return false;
  }
  return true;
}

/** Follows a guide with cards in as many readers. */
async function follow(guide: string, ...cards: VirtualCard[]): Promise<string> {
  const plugged: AsyncDisposable[] = [];
  try {
    for (const card of cards) plugged.push(await plugIntoVpcd(card, { port: daemon.port + plugged.length }));
    return await followWith(guide, plugged.length);
  } finally {
    for (const card of plugged) await card[Symbol.asyncDispose]();
  }
}

async function followWith(guide: string, readers: number): Promise<string> {
  // Each look is a program that runs: no time between two.
  while (!(await areSeen(readers)));
  await using workplace = await Workplace.make(daemon.env, "246802");
  const { code, output } = await workplace.follow(guide);
  // The output says why the code is what it is.
  expect([code, output]).toEqual([0, output]);
  return output;
}

test("docs/guides/blank-card.md, on a MyEID", async () => {
  const output = await follow("blank-card", createBlankCard("myeid"));
  for (const pattern of [
    /The token Ada is initialised/u,
    /The certificate of CN=Ada is in id 01[^]*Verified OK/u,
    /PKCS#15 Card \[Ada\]/u,
    /Copied from Ada to backup\.json: 0 keys, 1 certificate/u,
    /Ada is empty[^]*the card is not initialised/u,
  ])
    expect(output).toMatch(pattern);
});

test("docs/guides/dkek.md, on two SmartCard-HSMs", async () => {
  const output = await follow("dkek", await VirtualSmartCardHsm.create(), await VirtualSmartCardHsm.create());
  expect(output.match(/The card has 1 of 1 DKEK share; its check value is [0-9A-F]{16}\./gu)).toHaveLength(2);
  const checks = output.match(/^check value +[0-9A-F]{16}$/gmu) ?? [];
  expect(checks).toHaveLength(2);
  expect(new Set(checks).size).toBe(1);
  expect(output).toMatch(
    /1 key, 0 certificates and 0 data objects\.\n.*1 object of card\.json[^]*Valid: ECDSA_SHA256/u,
  );
});
