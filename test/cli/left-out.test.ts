import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Socket } from "node:net";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { FakeDaemon, SHARING_VIOLATION, SUCCESS, words } from "../pcsc/pcscd-fake.ts";
import { testCard } from "../virtual/keys.ts";
import { cryptoki, json } from "./program.ts";

// A pcscd with several readers, of which some have a card that cannot be used.

const UNKNOWN: InProcessCard = {
  atr: Uint8Array.of(0x3b, 0x80, 0x80, 0x01, 0x01),
  reset: () => undefined,
  transmit: () => Promise.resolve(Uint8Array.of(0x6d, 0x00)),
};

let daemon: FakeDaemon;
beforeAll(async () => {
  daemon = await FakeDaemon.start();
  const cards = new Map<string, InProcessCard>([
    ["Unknown Reader", UNKNOWN],
    ["PIV Reader", await testCard()],
    ["Held Reader", UNKNOWN],
  ]);
  daemon.readers = [...cards].map(([name, { atr }]) => ({ name, atr }));
  const connected = new WeakMap<Socket, InProcessCard>();
  daemon.on.connect = ({ body, socket, usual }): void => {
    const name = body.subarray(4, 132).toString("latin1").replace(/\0.*$/u, "");
    const card = cards.get(name);
    if (card) connected.set(socket, card);
    if (name === "Held Reader") socket.write(Buffer.concat([body.subarray(0, 148), words(SHARING_VIOLATION)]));
    else usual();
  };
  daemon.on.transmit = ({ body, payload, socket }): void => {
    void connected
      .get(socket)
      ?.transmit(Uint8Array.from(payload))
      .then((answer) => {
        socket.write(Buffer.concat([body.subarray(0, 24), words(answer.length, SUCCESS), answer]));
      });
  };
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
});

const run = (...args: string[]): ReturnType<typeof cryptoki> =>
  cryptoki(args, { env: { PCSCLITE_CSOCK_NAME: daemon.socket } });

test("tokens lists the others, and names on one line each the reader that is left out, and why", async () => {
  const { code, stdout, stderr } = await run("tokens");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^PIV [^\n]*\n *reader +PIV Reader/u);
  expect(stderr.trim().split("\n")).toEqual([
    expect.stringMatching(/^warning: skipped Unknown Reader: CKR_TOKEN_NOT_RECOGNIZED: /u),
    expect.stringMatching(/^warning: skipped Held Reader: CKR_DEVICE_ERROR: SCARD_E_SHARING_VIOLATION: /u),
  ]);
});

test("so do objects and pin status, and for a program the warnings are JSON", async () => {
  const objects = await run("objects", "--type", "cert", "--json");
  expect(json(objects)).toHaveLength(4);
  expect(
    objects.stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
  ).toMatchObject([
    { warning: { reader: "Unknown Reader", name: "CKR_TOKEN_NOT_RECOGNIZED" } },
    { warning: { reader: "Held Reader", name: "CKR_DEVICE_ERROR" } },
  ]);
  expect(json(await run("pin", "status", "--json"))).toHaveLength(1);
});

test("a reader that is not asked for is no matter", async () => {
  const { code, stderr } = await run("tokens", "--reader", "PIV");
  expect([code, stderr]).toEqual([0, ""]);
});

test("on a terminal the user chooses the reader, elsewhere the readers with cards are listed", async () => {
  const env = { PCSCLITE_CSOCK_NAME: daemon.socket, NO_COLOR: "1" };
  const send = ["apdu", "send", "00A4040009A00000030800001000"];
  const chosen = await cryptoki(send, { env, typed: "2\n", terminal: true });
  expect(chosen.stderr).toMatch(/^3 readers have a card:\n +1 +Unknown Reader\n +2 +PIV Reader\n +3 +Held Reader\n/u);
  expect(chosen).toMatchObject({ code: 0, stdout: expect.stringContaining("19 more bytes to collect") });
  const listed = await cryptoki(send, { env });
  expect(listed).toMatchObject({ code: 2, stdout: "" });
  expect(listed.stderr).toMatch(
    /^error: 3 readers have a card; choose one with --reader\n {2}Unknown Reader\n {2}PIV/u,
  );
});

test.each([
  ["Unknown", 3, "CKR_TOKEN_NOT_RECOGNIZED"],
  ["Held", 1, "SCARD_E_SHARING_VIOLATION"],
])("the only card that is asked for, in the %s Reader, is an error", async (reader, code, name) => {
  const outcome = await run("tokens", "--reader", reader);
  expect(outcome.code).toBe(code);
  expect(outcome.stderr).toMatch(new RegExp(`^error: .*${name}`, "u"));
});
