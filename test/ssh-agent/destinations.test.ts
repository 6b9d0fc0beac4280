import { expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CardKeys, SshAgent } from "../../src/ssh-agent/index.ts";
import { opened } from "../tokens/opened.ts";
import {
  answer,
  type Destination,
  EXTENSION_FAILURE,
  FAILURE,
  Host,
  list,
  login,
  request,
  restrictTo,
  signed,
  SUCCESS,
} from "./client.ts";

const [bastion, server, other] = [new Host(), new Host("p-256"), new Host()];
const SESSION = utf8("the session's identifier");
const SECOND = utf8("another session's identifier");

async function restricted(...destinations: readonly Destination[]) {
  const cards = await opened();
  const keys = new CardKeys({ source: cards.cards });
  const refusals: string[] = [];
  const agent = new SshAgent({ keys, onRefusal: (reason) => refusals.push(reason) });
  const local = agent.connect();
  expect(await answer(local, request.addCard("cryptoki", "", restrictTo(...destinations)))).toBe(SUCCESS);
  const found = (await list(local)).find(({ type }) => type === "ssh-ed25519");
  return {
    agent,
    local,
    refusals,
    key: found?.blob ?? new Uint8Array(),
    [Symbol.asyncDispose]: async () => {
      await keys[Symbol.asyncDispose]();
      await cards[Symbol.asyncDispose]();
    },
  };
}

test("a restricted key logs in to its host and user, and signs nothing else", async () => {
  await using rig = await restricted({ to: { user: "me*", host: "server", keys: [server.blob] } });
  const { agent, key, refusals, local } = rig;
  // This machine sees it, but proves no host.
  expect(await answer(local, request.sign(key, login(SESSION, "me", key)))).toBe(FAILURE);
  const client = agent.connect();
  expect(await answer(client, server.bind(SESSION, false))).toBe(SUCCESS);
  expect((await signed(client, request.sign(key, login(SESSION, "me", key, server.blob)))).algorithm).toBe(
    "ssh-ed25519",
  );
  expect((await signed(client, request.sign(key, login(SESSION, "me2", key)))).algorithm).toBe("ssh-ed25519");
  const refused = [
    login(SESSION, "root", key, server.blob),
    login(SECOND, "me", key, server.blob),
    login(SESSION, "me", key, other.blob),
    login(SESSION, "me", other.blob, server.blob),
    login(SESSION, "me", key, server.blob, "other-service"),
    utf8("git's commit"),
  ];
  for (const data of refused) expect(await answer(client, request.sign(key, data))).toBe(FAILURE);
  expect(refusals.map((reason) => reason.replace(/^.*?: /u, ""))).toEqual([
    "the key is for certain hosts, and the client has not said to which one it is connected",
    "the key is not for this way, host and user",
    "the login is of another session than the client's last",
    "the login names another host key",
    ...Array.from({ length: 3 }, () => "the key is for certain hosts, and what is to be signed is no login"),
  ]);
});

test("another host, and a client whose binding failed, do not see a restricted key", async () => {
  await using rig = await restricted({ to: { host: "server", keys: [server.blob] } });
  const stranger = rig.agent.connect();
  expect(await answer(stranger, other.bind(SESSION, true))).toBe(SUCCESS);
  expect(await list(stranger)).toEqual([]);
  const forger = rig.agent.connect();
  expect(await answer(forger, server.bind(SESSION, false, other.sign(SESSION)))).toBe(EXTENSION_FAILURE);
  expect(rig.refusals).toEqual(["session-bind: the signature is not the host key's"]);
  expect(await list(forger)).toEqual([]);
  expect(await answer(forger, request.sign(rig.key, login(SESSION, "me", rig.key)))).toBe(FAILURE);
});

test("a key is forwarded along its way only", async () => {
  await using rig = await restricted(
    { to: { host: "bastion", keys: [bastion.blob] } },
    { from: { host: "bastion", keys: [bastion.blob] }, to: { host: "server", keys: [server.blob] } },
  );
  const { agent, key } = rig;
  const client = agent.connect();
  expect(await answer(client, bastion.bind(SESSION, true))).toBe(SUCCESS);
  expect((await list(client)).length).toBeGreaterThan(0);
  // On the hop that forwards nothing is signed.
  expect(await answer(client, request.sign(key, login(SESSION, "me", key, bastion.blob)))).toBe(FAILURE);
  expect(await answer(client, server.bind(SECOND, false))).toBe(SUCCESS);
  // Behind another host the login must name its host key.
  expect(await answer(client, request.sign(key, login(SECOND, "me", key)))).toBe(FAILURE);
  expect((await signed(client, request.sign(key, login(SECOND, "me", key, server.blob)))).algorithm).toBe(
    "ssh-ed25519",
  );
  expect(rig.refusals.map((reason) => reason.replace(/^.*?: /u, ""))).toEqual([
    "the key is not for this way, host and user",
    "the login through another host does not name its host key",
  ]);
  const direct = agent.connect();
  expect(await answer(direct, server.bind(SECOND, false))).toBe(SUCCESS);
  expect(await answer(direct, request.sign(key, login(SECOND, "me", key, server.blob)))).toBe(FAILURE);
});

test("a host that a key may log in to, but not beyond, does not see it", async () => {
  await using rig = await restricted({ to: { host: "bastion", keys: [bastion.blob] } });
  const client = rig.agent.connect();
  expect(await answer(client, bastion.bind(SESSION, true))).toBe(SUCCESS);
  expect(await list(client)).toEqual([]);
});

test("a host is known by its authority's certificate for its name", async () => {
  const authority = new Host();
  await using rig = await restricted({ to: { host: "www.example.org", authorities: [authority.blob] } });
  const { agent, key } = rig;
  const bound = async (certificate: Uint8Array): Promise<string> => {
    const client = agent.connect();
    const bind = bastion.bind(SESSION, false, bastion.sign(SESSION), certificate);
    return `${await answer(client, bind)} ${(await answer(client, request.sign(key, login(SESSION, "me", key, certificate)))).slice(0, 2)}`;
  };
  expect(await bound(bastion.certificate(authority, ["*.example.org"]))).toBe("06 0e");
  expect(await bound(bastion.certificate(authority, ["www.example.com"]))).toBe("06 05");
  expect(await bound(bastion.certificate(authority, []))).toBe("06 05");
  expect(await bound(bastion.certificate(authority, ["*"], 1000))).toBe("06 05");
  expect(await bound(bastion.certificate(other, ["*"]))).toBe("06 05");
  // A user's certificate, and one that the authority did not sign.
  expect(await bound(bastion.certificate(authority, ["*"], 0xffff_ffff, 1))).toBe("1c 05");
  const forged = bastion.certificate(authority, ["*"]);
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
  expect(await bound(forged)).toBe("1c 05");
  // The authority's key is not the host's.
  const plain = agent.connect();
  expect(await answer(plain, authority.bind(SESSION, false))).toBe(SUCCESS);
  expect(await answer(plain, request.sign(key, login(SESSION, "me", key, authority.blob)))).toBe(FAILURE);
});

test("bindings are not contradicted, and there is nothing after a login", async () => {
  await using rig = await restricted({ to: { host: "server", keys: [server.blob] } });
  const client = rig.agent.connect();
  expect(await answer(client, bastion.bind(SESSION, true))).toBe(SUCCESS);
  expect(await answer(client, bastion.bind(SESSION, true))).toBe(SUCCESS);
  expect(await answer(client, other.bind(SESSION, true))).toBe(EXTENSION_FAILURE);
  expect(await answer(client, server.bind(SECOND, false))).toBe(SUCCESS);
  expect(await answer(client, server.bind(utf8("third"), true))).toBe(EXTENSION_FAILURE);
  expect(rig.refusals).toEqual([
    "session-bind: the session is another host's",
    "session-bind: the connection is bound to a login already",
  ]);
});

test("a client on another machine restricts nothing and ends no login", async () => {
  await using rig = await restricted({ to: { host: "server", keys: [server.blob] } });
  const client = rig.agent.connect();
  expect(await answer(client, bastion.bind(SESSION, true))).toBe(SUCCESS);
  for (const message of [request.addCard("cryptoki", ""), request.removeCard("cryptoki"), request.removeAll])
    expect(await answer(client, message)).toBe(FAILURE);
  expect(rig.refusals[2]).toMatch(/^a client on another machine/u);
  expect(await list(rig.local)).not.toEqual([]);
});

test("destinations without host keys, and with a user at their start, are refused", async () => {
  await using rig = await restricted({ to: { host: "server", keys: [server.blob] } });
  const refused = [
    restrictTo(),
    restrictTo({ to: { host: "server" } }),
    restrictTo({ to: { keys: [server.blob] } }),
    restrictTo({ from: { user: "me" }, to: { host: "server", keys: [server.blob] } }),
    restrictTo({ from: { host: "a" }, to: { host: "server", keys: [server.blob] } }),
    restrictTo({ to: { host: "server", keys: [utf8("no key")] } }),
  ];
  for (const one of refused) expect(await answer(rig.local, request.addCard("cryptoki", "", one))).toBe(FAILURE);
  expect(rig.refusals).toEqual([
    "destinations: none",
    "destination: an end without host or keys",
    "destination: an end without host or keys",
    "destination: a start without host and keys, or with a user",
    "destination: a start without host and keys, or with a user",
    expect.stringMatching(/SSH public key/),
  ]);
});
