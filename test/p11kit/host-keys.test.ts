import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { CKA, CKM, Cryptoki, type CryptokiFunctions } from "../../src/cryptoki/index.ts";
import { settled } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";
import { Peer, ServerRig } from "./rig.ts";

/** Names of the calls that reached an application. */
let begun: string[];
/** What answers them, the oldest first. */
let answers: (() => void)[];
/** Resolves when a client has gone while its call was under way. */
let gone: Promise<void>;
let rig: ServerRig;

/** An application whose keys are made when the test says so. */
function slowly(application: CryptokiFunctions): CryptokiFunctions {
  const generate =
    (name: string, value: unknown) =>
    (...args: unknown[]): Promise<unknown> => {
      begun.push(name);
      const { signal } = args.at(-1) as { readonly signal: AbortSignal };
      gone = new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          resolve();
        });
      });
      return new Promise((resolve) => {
        answers.push(() => {
          resolve(value);
        });
      });
    };
  return new Proxy(application, {
    get: (target, name): unknown => {
      if (name === "C_GenerateKeyPair") return generate(name, { publicKey: 1, privateKey: 2 });
      if (name === "C_GenerateKey") return generate(name, 3);
      const member: unknown = Reflect.get(target, name);
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}

beforeEach(async () => {
  begun = [];
  answers = [];
  rig = await ServerRig.start(await testCard(), {
    application: () => slowly(new Cryptoki({ slots: rig.local.cryptoki.slots })),
  });
});
afterEach(() => rig[Symbol.asyncDispose]());

const RSA = { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN };
const pair = (peer: Peer, session: number, onCard: boolean): unknown =>
  peer.send("C_GenerateKeyPair", [session, RSA, { [CKA.TOKEN]: onCard }, { [CKA.TOKEN]: onCard }]);

/** Until the server has taken up all that `peer` sent: it takes requests up in order. */
async function takenUp(peer: Peer): Promise<void> {
  await peer.ask("C_GetInfo", []);
  await settled();
}

/** Ends the clients, and whatever they wait for. */
async function leave(...peers: readonly Peer[]): Promise<void> {
  for (const peer of peers) peer[Symbol.dispose]();
  while (rig.server.clients > 0) {
    for (const answer of answers.splice(0)) answer();
    await settled();
  }
}

test("one connection makes one key in software at a time, and others are not kept waiting", async () => {
  const [peer, session] = await Peer.withSession(rig.socket);
  for (let count = 0; count < 3; count++) pair(peer, session, false);
  peer.send("C_GenerateKey", [session, { mechanism: CKM.AES_KEY_GEN }, {}]);
  await takenUp(peer);
  expect(begun).toEqual(["C_GenerateKeyPair"]);
  const [other, theirs] = await Peer.withSession(rig.socket);
  pair(other, theirs, false);
  await takenUp(other);
  expect(begun).toHaveLength(2);
  // One that is done makes room for the next.
  answers.shift()?.();
  await peer.receive();
  await takenUp(peer);
  expect(begun).toHaveLength(3);
  await leave(peer, other);
});

test("keys that a client waits for are not made once it has gone", async () => {
  const [peer, session] = await Peer.withSession(rig.socket);
  for (let count = 0; count < 5; count++) pair(peer, session, false);
  await takenUp(peer);
  peer[Symbol.dispose]();
  await gone;
  answers.shift()?.();
  await rig.untilClients(0);
  expect([begun.length, rig.server.clients]).toEqual([1, 0]);
});

test("keys that cards make have no such line", async () => {
  const [peer, session] = await Peer.withSession(rig.socket);
  pair(peer, session, false);
  for (let count = 0; count < 2; count++) pair(peer, session, true);
  await takenUp(peer);
  expect(begun).toHaveLength(3);
  await leave(peer);
});
