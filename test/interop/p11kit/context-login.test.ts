import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki } from "../../../src/cryptoki/index.ts";
import { profiles } from "../../../src/index.ts";
import { P11KitModule, P11KitServer } from "../../../src/p11kit/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { testCard } from "../../virtual/keys.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

/** A key that wants its PIN before each use, in a real pcscd, while other clients of the same server use the card. */
const PIN = "123456";
let card: PluggedIn;
let pcsc: Pcscd;
let server: P11KitServer;
let folder: string;

beforeAll(async () => {
  requirePrograms("pkcs11-tool");
  card = await plugIn(await testCard(), "Context");
  pcsc = new Pcscd({ socket: card.env["PCSCLITE_CSOCK_NAME"] ?? "" });
  const { slots } = new Cryptoki({ pcsc, profiles });
  folder = await mkdtemp(path.join(tmpdir(), "context-"));
  server = await P11KitServer.listen(path.join(folder, "socket"), { application: () => new Cryptoki({ slots }) });
  // Others may have the one daemon of the machine for as long as this.
}, 1_000_000);

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await pcsc.close();
  await card[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

const connect = async (): Promise<P11KitModule> => {
  const module = new P11KitModule({ address: server.address ?? "" });
  await module.C_Initialize();
  return module;
};

test("200 of 200 signatures with 9C succeed while other clients ask for token information", async () => {
  await using signer = await connect();
  await using poller = await connect();
  const [slot = 0] = await signer.C_GetSlotList(true);
  const session = await signer.C_OpenSession(slot, CKF.SERIAL_SESSION);
  await signer.C_Login(session, CKU.USER, PIN);
  await signer.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(2) });
  const [key = 0] = await signer.C_FindObjects(session);
  await signer.C_FindObjectsFinal(session);

  let polling = true;
  const poll = async (): Promise<number> => {
    let polls = 0;
    for (; polling; polls++) {
      await poller.C_GetTokenInfo(slot);
      const theirs = await poller.C_OpenSession(slot, CKF.SERIAL_SESSION);
      await poller.C_Login(theirs, CKU.USER, PIN);
      await poller.C_CloseSession(theirs);
    }
    return polls;
  };
  const client = requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");
  const list = async (): Promise<void> => {
    while (polling) {
      const env = { P11_KIT_SERVER_ADDRESS: server.address };
      const { code, stdout } = await run("pkcs11-tool", ["--module", client, "--list-slots"], { env });
      expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("PIV") as unknown });
    }
  };
  const others = Promise.all([poll(), list()]);
  let signed = 0;
  try {
    for (let turn = 0; turn < 200; turn++) {
      await signer.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key);
      await signer.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
      expect(await signer.C_Sign(session, new Uint8Array(20))).toHaveLength(64);
      signed++;
    }
  } finally {
    polling = false;
  }
  const [polls] = await others;
  expect(signed).toBe(200);
  expect(polls).toBeGreaterThan(0);
}, 240_000);

test("a client that dies between the PIN and the signature does not keep the card", async () => {
  const dying = await connect();
  await using other = await connect();
  const [slot = 0] = await dying.C_GetSlotList(true);
  const session = await dying.C_OpenSession(slot, CKF.SERIAL_SESSION);
  await dying.C_Login(session, CKU.USER, PIN);
  await dying.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(2) });
  const [key = 0] = await dying.C_FindObjects(session);
  await dying.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key);
  await dying.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
  const theirs = await other.C_OpenSession(slot, CKF.SERIAL_SESSION);
  const begun = performance.now();
  const waiting = other.C_Login(theirs, CKU.USER, PIN);
  await dying[Symbol.asyncDispose]();
  await waiting;
  expect(performance.now() - begun).toBeLessThan(3_500);
});
