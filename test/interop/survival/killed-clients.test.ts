import { type ChildProcess, fork } from "node:child_process";
import { createPublicKey, randomBytes, verify } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { CKA, CKF, CKM, CKO, CKS, CKU, Cryptoki, Pcscd, profiles } from "../../../src/index.ts";
import { P11KitModule, P11KitServer } from "../../../src/p11kit/index.ts";
import { testCard, testKey } from "../../virtual/keys.ts";
import { report, SeededRandom } from "../../seeded-random.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";
import { SharedCard } from "../../virtual/shared-card.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(1_800_000);

const CLIENTS = 40;
const PIN = "123456";
const ID = "01";
/** Turns of the event loop in which the server learns that a client's socket was closed by the kernel. */
const TURNS_TO_NOTICE = 20;

describe("a server of p11-kit's protocol over pcscd", () => {
  let card: SharedCard;
  let plugged: PluggedIn;
  let pcsc: Pcscd;
  let server: P11KitServer;
  let folder: string;
  let other: P11KitModule;
  let session: number;
  let key: number;

  beforeAll(async () => {
    card = new SharedCard(await testCard());
    plugged = await plugIn(card, "Virtual PCD");
    pcsc = new Pcscd();
    const { slots } = new Cryptoki({ pcsc, profiles });
    folder = await mkdtemp(path.join(os.tmpdir(), "killed-"));
    server = await P11KitServer.listen(path.join(folder, "socket"), { application: () => new Cryptoki({ slots }) });
    other = new P11KitModule({ address: server.address ?? "" });
    await other.C_Initialize();
    const [slot = -1] = await other.C_GetSlotList(true);
    session = await other.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await other.C_Login(session, CKU.USER, PIN);
    await other.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Buffer.from(ID, "hex") });
    [key = 0] = await other.C_FindObjects(session, 1);
    await other.C_FindObjectsFinal(session);
  });
  afterAll(async () => {
    await other.C_Finalize();
    await server[Symbol.asyncDispose]();
    await pcsc.close();
    await plugged[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** A client that signs. */
  async function start(): Promise<ChildProcess> {
    const main = fileURLToPath(new URL("serve-client-main.ts", import.meta.url));
    const child = fork(main, [server.address ?? "", PIN, ID], {
      execArgv: ["--import", "tsx"],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    const [said] = (await Promise.race([once(child, "message"), once(child, "exit")])) as [unknown];
    if (said !== "signing") throw new Error("a client ended before it signed");
    return child;
  }

  /** Undefined if the other client can sign in its session, with its login; otherwise what went wrong. */
  async function otherSigns(): Promise<string | undefined> {
    const message = randomBytes(32);
    try {
      const { state } = await other.C_GetSessionInfo(session);
      if (state !== CKS.RO_USER_FUNCTIONS) return `its session is in state ${state}`;
      await other.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
      const signature = await other.C_Sign(session, message);
      return verify("sha256", message, createPublicKey(testKey("rsa-2048", "9a")), signature)
        ? undefined
        : "a signature of another key";
    } catch (error) {
      return String(error);
    }
  }

  /** Kills a client at a command of the card, which answers when the server has heard of it, or at once. */
  async function killWhileItSigns(client: ChildProcess, command: number, hold: boolean): Promise<void> {
    const ended = once(client, "exit");
    await new Promise<void>((resolve) => {
      const moment = card.received + command;
      card.onCommand = async () => {
        if (card.received < moment) return;
        card.onCommand = undefined;
        client.kill("SIGKILL");
        resolve();
        if (!hold) return;
        await ended;
        for (let turn = 0; turn < TURNS_TO_NOTICE; turn++) await nextTurn();
      };
    });
    await ended;
  }

  test(`${CLIENTS} clients are killed while they sign; another one keeps its session and login`, async () => {
    const random = new SeededRandom();
    const lost: string[] = [];
    for (let number = 0; number < CLIENTS; number++) {
      const client = await start();
      const hold = random.chance(0.5);
      const both = random.chance(0.5);
      const killed = killWhileItSigns(client, 1 + random.below(10), hold);
      const course = `client ${number}, ${hold ? "in the middle of an exchange" : "at any moment"}`;
      const beside = both ? await otherSigns() : undefined;
      await killed;
      const after = await otherSigns();
      if (beside !== undefined) lost.push(`${course}, beside it: ${beside}`);
      if (after !== undefined) lost.push(`${course}, after it: ${after}`);
      if (after !== undefined) await logInAgain();
    }
    report("killed clients", random, { clients: CLIENTS, lost: lost.length });
    expect(lost).toEqual([]);
    for (let turns = 0; server.clients > 1 && turns < 10_000; turns++) await nextTurn();
    expect(server.clients).toBe(1);
  });

  /** So that each client counts for itself. */
  async function logInAgain(): Promise<void> {
    const info = await other.C_GetSessionInfo(session).catch(() => undefined);
    if (!info) {
      const [slot = -1] = await other.C_GetSlotList(true);
      session = await other.C_OpenSession(slot, CKF.SERIAL_SESSION);
    } else await other.C_SessionCancel(session, CKF.SIGN);
    await other.C_Login(session, CKU.USER, PIN);
    await other.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Buffer.from(ID, "hex") });
    [key = 0] = await other.C_FindObjects(session, 1);
    await other.C_FindObjectsFinal(session);
  }
});
