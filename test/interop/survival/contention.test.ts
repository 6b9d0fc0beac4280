import { createPublicKey } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { pause } from "../../../src/async/index.ts";
import { testKey, testPkcs15Card } from "../../virtual/keys.ts";
import { SharedCard } from "../../virtual/shared-card.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";
import { type Command, compileModuleSigner, contend, openScCommand, ourCommand, type Result } from "./contention.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(1_800_000);

/** `npm run contention` takes the whole minute. */
const SECONDS = Number(process.env["CONTENTION_SECONDS"] ?? 15);
const PROGRAMS = 8;
const PIN = "123456";
/** A P-256 key. */
const ID = "02";
/** Milliseconds of an exchange. Real cards take 5 to 50; one that takes none measures how fast programs loop. */
const CARD_TIME = Number(process.env["CONTENTION_CARD_TIME"] ?? 20);
/**
 * Milliseconds that programs with OpenSC do something else between two signatures, beside ours. PC/SC has no queue: a program that
 * begins its next transaction at once keeps all others out.
 */
const OPENSC_PAUSE = Number(process.env["CONTENTION_PAUSE"] ?? 20);
/** Of the mean, what the slowest program makes at least. */
const FAIR_SHARE = 1 / 3;

const eight = (command: Command): readonly Command[] => Array.from({ length: PROGRAMS }, () => command);
const sum = (results: readonly Result[]): number => results.reduce((total, { signed }) => total + signed, 0);

function tell(who: string, results: readonly Result[]): void {
  const failed = results.reduce((total, result) => total + result.failed, 0);
  const each = results.map(({ signed }) => signed).join(" ");
  process.stderr.write(`contention, ${SECONDS} s, ${who}: ${sum(results)} signatures (${each}), ${failed} failed\n`);
}

describe(`${PROGRAMS} programs that sign on one card for ${SECONDS} seconds`, () => {
  let plugged: PluggedIn;
  let folder: string;
  let ours: Command;
  let signer: string;
  let byOpenSc: number;

  beforeAll(async () => {
    requirePrograms("cc", "opensc-tool");
    folder = await mkdtemp(path.join(os.tmpdir(), "contention-"));
    const card = new SharedCard(await testPkcs15Card());
    plugged = await plugIn(card, "Virtual PCD");
    card.onCommand = () => pause(CARD_TIME);
    const publicKey = createPublicKey(testKey("p-256", "authentication"));
    ours = ourCommand(PIN, ID, publicKey.export({ format: "pem", type: "spki" }).toString());
    signer = await compileModuleSigner(folder);
    const results = await contend(eight(openScCommand(signer, PIN, ID)), SECONDS);
    tell("OpenSC alone", results);
    byOpenSc = sum(results);
  });
  afterAll(async () => {
    await plugged[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  function expectFair(results: readonly Result[]): void {
    expect(results.filter(({ failed }) => failed > 0)).toEqual([]);
    expect(sum(results)).toBeGreaterThanOrEqual(byOpenSc);
    const slowest = Math.min(...results.map(({ signed }) => signed));
    expect(slowest).toBeGreaterThanOrEqual((sum(results) / results.length) * FAIR_SHARE);
  }

  test("no call fails, OpenSC makes no more, and none is last for ever", async () => {
    const results = await contend(eight(ours), SECONDS);
    tell("alone", results);
    expectFair(results);
  });

  test(`so also beside ${PROGRAMS} programs with OpenSC`, async () => {
    const results = await contend([...eight(ours), ...eight(openScCommand(signer, PIN, ID, OPENSC_PAUSE))], SECONDS);
    tell("beside OpenSC", results.slice(0, PROGRAMS));
    tell("OpenSC beside them", results.slice(PROGRAMS));
    expectFair(results.slice(0, PROGRAMS));
  });
});
