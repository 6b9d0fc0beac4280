import { expect, test } from "@jest/globals";
import { concat, toHex, utf8 } from "../../src/bytes/index.ts";
import { decodeKeyBlob, verifySignatureBlob } from "../../src/ssh-agent/public-key.ts";
import { CardKeys, SshAgent, type SshAgentOptions } from "../../src/ssh-agent/index.ts";
import { string } from "../../src/ssh-agent/wire.ts";
import type { PinSource } from "../../src/tokens/index.ts";
import { opened, type Opened, PIN } from "../tokens/opened.ts";
import { answer, constraint, EXTENSION_FAILURE, FAILURE, Host, list, request, signed, SUCCESS } from "./client.ts";

const DATA = utf8("what ssh signs");

interface Rig extends AsyncDisposable {
  readonly cards: Opened;
  readonly keys: CardKeys;
  readonly agent: SshAgent;
  readonly refusals: string[];
}

async function agentOver(
  options: Omit<SshAgentOptions, "keys"> & { readonly pin?: PinSource; readonly questions?: number } = {},
): Promise<Rig> {
  const { pin, questions, ...rest } = options;
  const cards = await opened(pin);
  const keys = new CardKeys({
    source: cards.cards,
    ...(questions !== undefined && { questions }),
    ...(pin && { pin }),
  });
  const refusals: string[] = [];
  const agent = new SshAgent({ keys, onRefusal: (reason) => refusals.push(reason), ...rest });
  return {
    cards,
    keys,
    agent,
    refusals,
    [Symbol.asyncDispose]: async () => {
      await keys[Symbol.asyncDispose]();
      await cards[Symbol.asyncDispose]();
    },
  };
}

test("the keys that sign are listed, without a PIN; a second list costs no exchange", async () => {
  await using rig = await agentOver();
  const client = rig.agent.connect();
  const keys = await list(client);
  expect(keys.map(({ type }) => type)).toEqual([
    "ecdsa-sha2-nistp256",
    "ssh-rsa",
    "ecdsa-sha2-nistp384",
    "ssh-ed25519",
  ]);
  expect(
    keys.every(({ comment }) => /^(PIV AUTH key|CARD AUTH key|SIGN key|Retired KEY MAN 1) \(PIV/u.test(comment)),
  ).toBe(true);
  expect(rig.cards.requests).toEqual([]);
  const before = rig.cards.exchanges.length;
  expect(await list(client)).toEqual(keys);
  expect(await list(rig.agent.connect())).toEqual(keys);
  expect(rig.cards.exchanges).toHaveLength(before);
});

test("every type of key signs, RSA with the hash of the flags", async () => {
  await using rig = await agentOver();
  const client = rig.agent.connect();
  const algorithms: string[] = [];
  for (const { blob, type } of await list(client)) {
    for (const flags of type === "ssh-rsa" ? [2, 4, 6] : [0]) {
      const signature = await signed(client, request.sign(blob, DATA, flags));
      algorithms.push(signature.algorithm);
      const { key } = await decodeKeyBlob(blob);
      expect(await verifySignatureBlob(key, DATA, signature.blob)).toBe(true);
      expect(await verifySignatureBlob(key, utf8("other data"), signature.blob)).toBe(false);
    }
  }
  expect(algorithms).toEqual([
    "ecdsa-sha2-nistp256",
    ...["rsa-sha2-256", "rsa-sha2-512", "rsa-sha2-256"],
    ...["ecdsa-sha2-nistp384", "ssh-ed25519"],
  ]);
});

const rsaOf = async (rig: Rig): Promise<Uint8Array> => {
  const found = (await list(rig.agent.connect())).find(({ type }) => type === "ssh-rsa");
  return found?.blob ?? new Uint8Array();
};

test("RSA with SHA-1 is refused, and made where it is allowed", async () => {
  await using rig = await agentOver();
  const client = rig.agent.connect();
  const rsa = await rsaOf(rig);
  expect(await answer(client, request.sign(rsa, DATA))).toBe(FAILURE);
  expect(rig.refusals).toEqual([expect.stringMatching(/RSA with SHA-1, which --allow-sha1 allows/)]);
  await using lax = await agentOver({ allowSha1: true });
  expect((await signed(lax.agent.connect(), request.sign(await rsaOf(lax), DATA))).algorithm).toBe("ssh-rsa");
});

test("a key of no card, other keys and unknown requests are refused, and the client goes on", async () => {
  await using rig = await agentOver();
  const client = rig.agent.connect();
  expect(await answer(client, request.sign(new Host().blob, DATA))).toBe(FAILURE);
  for (const number of [17, 18, 25, 1, 200]) expect(await answer(client, Uint8Array.of(number, 1, 2))).toBe(FAILURE);
  expect(rig.refusals[0]).toMatch(/^no card has the key SHA256:/u);
  expect(rig.refusals[1]).toMatch(/^request 17 is not served/u);
  expect(await list(client)).toHaveLength(4);
});

test("the extensions are told; another one is refused as an extension", async () => {
  await using rig = await agentOver();
  const client = rig.agent.connect();
  const expected = concat(
    Uint8Array.of(29),
    ...["query", "query", "session-bind@openssh.com"].map((name) => string(name)),
  );
  expect(await answer(client, request.extension("query"))).toBe(toHex(expected));
  expect(await answer(client, request.extension("other@example.org"))).toBe(EXTENSION_FAILURE);
});

test("a locked agent shows nothing and signs nothing until it gets the same passphrase", async () => {
  await using rig = await agentOver();
  const [client, other] = [rig.agent.connect(), rig.agent.connect()];
  const rsa = await rsaOf(rig);
  expect(await answer(client, request.unlock("secret"))).toBe(FAILURE);
  expect(await answer(client, request.lock("secret"))).toBe(SUCCESS);
  expect(await list(other)).toEqual([]);
  expect(await answer(other, request.sign(rsa, DATA, 2))).toBe(FAILURE);
  expect(await answer(other, request.lock("other"))).toBe(FAILURE);
  expect(await answer(other, request.unlock("other"))).toBe(FAILURE);
  expect(await answer(other, request.unlock("secret"))).toBe(SUCCESS);
  expect(await list(client)).toHaveLength(4);
});

test("a wrong PIN is asked for again, as often as is said", async () => {
  const pins = ["000000", "111111", PIN];
  await using rig = await agentOver({ pin: () => pins.shift() ?? "", questions: 3 });
  const client = rig.agent.connect();
  const rsa = await rsaOf(rig);
  expect((await signed(client, request.sign(rsa, DATA, 2))).algorithm).toBe("rsa-sha2-256");
  expect(pins).toEqual([]);
});

test("a PIN that cannot change is tried once, and a later request spends no try", async () => {
  let asked = 0;
  await using rig = await agentOver({
    pin: () => {
      asked++;
      return "000000";
    },
  });
  const client = rig.agent.connect();
  const rsa = await rsaOf(rig);
  for (let times = 0; times < 3; times++) expect(await answer(client, request.sign(rsa, DATA, 2))).toBe(FAILURE);
  expect(asked).toBe(1);
  expect(rig.refusals[0]).toMatch(/^CKR_PIN_INCORRECT/u);
  // The user gives the right one.
  expect(await answer(client, request.addCard("cryptoki", PIN))).toBe(SUCCESS);
  expect((await signed(client, request.sign(rsa, DATA, 2))).algorithm).toBe("rsa-sha2-256");
  expect(asked).toBe(1);
});

test("a client that leaves ends its own question only", async () => {
  const asked: AbortSignal[] = [];
  let isAsked = (): void => undefined;
  const first = new Promise<void>((resolve) => {
    isAsked = resolve;
  });
  await using rig = await agentOver({
    pin: (wanted) => {
      if (wanted.signal) asked.push(wanted.signal);
      isAsked();
      return asked.length === 1 ? new Promise(() => undefined) : PIN;
    },
  });
  const [client, other] = [rig.agent.connect(), rig.agent.connect()];
  const rsa = await rsaOf(rig);
  const leaving = new AbortController();
  const waiting = client.answer(request.sign(rsa, DATA, 2), { signal: leaving.signal });
  await first;
  const served = signed(other, request.sign(rsa, DATA, 4));
  leaving.abort(new Error("gone"));
  await expect(waiting).rejects.toThrow("gone");
  expect((await served).algorithm).toBe("rsa-sha2-512");
  expect(asked.map(({ aborted }) => aborted)).toEqual([true, false]);
});

test("ssh-add -D and -e end the login", async () => {
  await using rig = await agentOver();
  const client = rig.agent.connect();
  const rsa = await rsaOf(rig);
  for (const end of [request.removeAll, request.removeCard("cryptoki")]) {
    await signed(client, request.sign(rsa, DATA, 2));
    expect(await answer(client, end)).toBe(SUCCESS);
  }
  await signed(client, request.sign(rsa, DATA, 2));
  expect(rig.cards.requests.map(({ purpose }) => purpose)).toEqual(["login", "login", "login"]);
});

test("a card is named by its URI; a module, a lifetime and a stranger's constraint are refused", async () => {
  await using rig = await agentOver();
  const client = rig.agent.connect();
  const { uri } = await rig.cards.token.info();
  expect(await answer(client, request.addCard(uri, PIN))).toBe(SUCCESS);
  const refused = [
    request.addCard("/usr/lib/opensc-pkcs11.so", PIN),
    request.addCard("pkcs11:token=other", PIN),
    request.addCard("cryptoki", "", constraint.lifetime(60)),
    request.addCard("cryptoki", "", constraint.extension("other@example.org", new Uint8Array())),
    request.addCard("cryptoki", "", Uint8Array.of(77)),
  ];
  for (const message of refused) expect(await answer(client, message)).toBe(FAILURE);
  expect(rig.refusals).toEqual([
    expect.stringMatching(/opensc-pkcs11.so is not loaded/),
    "no card fits pkcs11:token=other",
    expect.stringMatching(/no lifetime/),
    "the constraint other@example.org is not known",
    "request: constraint 77 is not known",
  ]);
});

test("the user confirms each use, where that is wanted for all keys or for those of a card", async () => {
  const answers = [true, false, true];
  const asked: string[] = [];
  await using rig = await agentOver({
    askConfirmation: ({ comment, fingerprint }) => {
      asked.push(`${comment} ${fingerprint.slice(0, 7)}`);
      return Promise.resolve(answers.shift() ?? false);
    },
  });
  const client = rig.agent.connect();
  const rsa = await rsaOf(rig);
  await signed(client, request.sign(rsa, DATA, 2));
  expect(asked).toEqual([]);
  expect(await answer(client, request.addCard("cryptoki", "", constraint.confirm))).toBe(SUCCESS);
  await signed(client, request.sign(rsa, DATA, 2));
  expect(await answer(client, request.sign(rsa, DATA, 2))).toBe(FAILURE);
  expect(rig.refusals).toEqual([expect.stringMatching(/the user did not allow its use/)]);
  expect(asked).toEqual([expect.stringMatching(/^PIV AUTH.*\(PIV.*\) SHA256:$/u), expect.anything()]);
});

test("a card that is taken out takes its keys along, and brings them back", async () => {
  await using rig = await agentOver();
  const client = rig.agent.connect();
  const rsa = await rsaOf(rig);
  await signed(client, request.sign(rsa, DATA, 2));
  const { token } = rig.cards;
  const gone = new Promise((resolve) => {
    token.removed.addEventListener("abort", resolve);
  });
  rig.cards.readers.eject("Reader");
  await gone;
  expect(await list(client)).toEqual([]);
  expect(await answer(client, request.sign(rsa, DATA, 2))).toBe(FAILURE);
  await rig.cards.insert();
  await rig.cards.cards.token(undefined, { wait: true });
  // The agent's own watch sees it, too: it may be a moment later.
  while ((await list(client)).length === 0) await new Promise(setImmediate);
  expect((await signed(client, request.sign(rsa, DATA, 2))).algorithm).toBe("rsa-sha2-256");
  expect(rig.cards.requests).toHaveLength(2);
});
