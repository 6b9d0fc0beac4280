import { generateKeyPairSync, webcrypto } from "node:crypto";
import { beforeAll, expect, test } from "@jest/globals";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { decodePem, equalBytes, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { Card, CardRecognition } from "../../src/card/index.ts";
import {
  type CertificateSession,
  planFinish,
  requestRenewal,
  signatureAlgorithmOf,
  tokenSigner,
  writeBesideKey,
} from "../../src/certificates/index.ts";
import { encodeEcParameters, parsePublicKey } from "../../src/crypto/index.ts";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki, type Template } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import { MemoryReaders, type Pcsc } from "../../src/pcsc/index.ts";
import { VirtualPivCard } from "../../src/virtual/index.ts";
import { type Fault, FAULTS } from "../sweep/faults.ts";

const READER = "Memory Reader";
const ID = Uint8Array.of(0x01);
const PIN = "123456";
const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const NAME = "9A";
const describeDer = (): string => "the certificate";

/** An exchange that the card has carried out, and whose answer is lost; and one that it has not, with a reset. */
const STRUCK = ["SCARD_E_NOT_TRANSACTED after the command", "SCARD_W_RESET_CARD"];
const FAULTS_HERE = FAULTS.filter(({ name }) => STRUCK.includes(name));

/** A YubiKey with a key and a certificate in 9A, in a reader where one exchange may go wrong. */
class Bench {
  readonly pcsc: Pcsc;
  readonly #card: VirtualPivCard;
  exchanges = 0;
  /** GENERATE ASYMMETRIC KEY PAIR that the card has carried out. */
  generated = 0;
  #strike: { readonly fault: Fault; readonly position: number } | undefined;

  constructor(card: VirtualPivCard) {
    this.#card = card;
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.insert(READER, {
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit: (command) => this.#transmit(command),
    });
    this.pcsc = readers.client();
  }

  strikeAt(position: number, fault: Fault): void {
    this.exchanges = 0;
    this.#strike = { position, fault };
  }

  heal(): void {
    this.#strike = undefined;
  }

  async #transmit(command: Uint8Array): Promise<Uint8Array> {
    this.exchanges++;
    const perform = async (): Promise<Uint8Array> => {
      const answer = await this.#card.transmit(command);
      // Of a chain the last command is the one.
      if (command[1] === 0x47 && (command[0] ?? 0) === 0 && toHex(answer.subarray(-2)) === "9000") this.generated++;
      return answer;
    };
    if (this.#strike?.position !== this.exchanges) return perform();
    const resetCard = (): void => {
      this.#card.reset();
    };
    const nothing = (): void => undefined;
    return this.#strike.fault.strike({
      command,
      previous: new Uint8Array(),
      perform,
      resetCard,
      abort: nothing,
      random: () => 0,
    });
  }
}

/** What stays of a command that was interrupted, beside the card: its file. */
interface Files {
  request?: string;
}

/** One run of a command: an application of its own, as a process has it. */
async function run<T>(pcsc: Pcsc, work: (session: CertificateSession, slot: number) => Promise<T>): Promise<T> {
  await using cryptoki = new Cryptoki({ pcsc, profiles, linger: 0 });
  await cryptoki.C_Initialize();
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  const handle = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
  const find = async (template: Template): Promise<{ handle: number; id: Uint8Array }[]> => {
    await cryptoki.C_FindObjectsInit(handle, template);
    const found = await cryptoki.C_FindObjects(handle, 50).finally(() => cryptoki.C_FindObjectsFinal(handle));
    return Promise.all(
      found.map(async (object) => ({
        handle: object,
        id: (await cryptoki.C_GetAttributeValue(handle, object, [CKA.ID]))[CKA.ID],
      })),
    );
  };
  const session: CertificateSession = {
    cryptoki,
    handle,
    find,
    value: async (object) => (await cryptoki.C_GetAttributeValue(handle, object, [CKA.VALUE]))[CKA.VALUE],
    currentKey: () => keyOnCard(pcsc),
  };
  return await work(session, slot);
}

/** What the card tells of the key in 9A, over another connection. */
async function keyOnCard(pcsc: Pcsc): Promise<Uint8Array | undefined> {
  await using card = new Card(await pcsc.connect(READER));
  const application = await new CardRecognition(profiles).claim(card);
  for (const object of (await application?.tokens[0]?.objects(["private-key"])) ?? []) {
    if (object.class === "private-key" && equalBytes(object.id, ID)) return await object.publicKey();
  }
  return undefined;
}

/** `certificate renew --new-key`, without its certificate. */
const request = (pcsc: Pcsc, files: Files): Promise<void> =>
  run(pcsc, async (session) => {
    const { cryptoki, handle } = session;
    const common = { [CKA.TOKEN]: true, [CKA.ID]: ID };
    const made = await requestRenewal(
      session,
      {
        id: ID,
        nameOf: () => NAME,
        newKey: {
          id: ID,
          mechanism: { mechanism: CKM.EC_KEY_PAIR_GEN },
          publicTemplate: { ...common, [CKA.EC_PARAMS]: encodeEcParameters("P-256") },
          privateTemplate: [
            [CKA.TOKEN, true],
            [CKA.ID, ID],
          ],
        },
        ...(files.request !== undefined && { earlier: utf8(files.request) }),
      },
      {
        confirm: () => Promise.resolve(),
        logIn: () => cryptoki.C_Login(handle, CKU.SO, MANAGEMENT_KEY),
        logOut: () => cryptoki.C_Logout(handle),
        signer: async (id) => {
          const algorithm = signatureAlgorithmOf(parsePublicKey((await session.currentKey(id)) ?? fromHex("")), NAME);
          return tokenSigner({ cryptoki, session: handle, id, algorithm, pin: () => Promise.resolve(utf8(PIN)) });
        },
        isKeyOf: () => Promise.resolve(true),
      },
    );
    files.request = made.request;
  });

/** `certificate renew --certificate`. */
const finish = (pcsc: Pcsc, files: Files, issued: Uint8Array): Promise<void> =>
  run(pcsc, async (session) => {
    const { cryptoki, handle } = session;
    const earlier = { request: utf8(files.request ?? "") };
    const writing = await planFinish(session, {
      id: ID,
      nameOf: () => NAME,
      describe: describeDer,
      chain: [issued],
      ...earlier,
    });
    await cryptoki.C_Login(handle, CKU.SO, MANAGEMENT_KEY);
    await writeBesideKey(session, writing, { onePlaceEach: true, describe: describeDer });
  });

let authority: webcrypto.CryptoKeyPair;
const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
beforeAll(async () => {
  authority = await webcrypto.subtle.generateKey(ECDSA, false, ["sign", "verify"]);
});

async function issue(pem: string): Promise<Uint8Array> {
  const parsed = new x509.Pkcs10CertificateRequest(pem);
  const made = await x509.X509CertificateGenerator.create({
    subject: parsed.subjectName,
    issuer: "CN=Authority",
    publicKey: parsed.publicKey,
    signingKey: authority.privateKey,
    signingAlgorithm: ECDSA,
  });
  return new Uint8Array(made.rawData);
}

/** The old key, once for all cards. */
const OLD_KEY = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

async function freshBench(): Promise<Bench> {
  const keys = { "9a": { privateKey: OLD_KEY }, "9c": null, "9d": null, "9e": null } as const;
  return new Bench(await VirtualPivCard.create({ keys, yubico: true }));
}

/** The certificate in 9A, as a further application sees it. */
const onCard = (pcsc: Pcsc): Promise<string> =>
  run(pcsc, async (session) => {
    const [found] = await session.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: ID });
    return found ? toHex(await session.value(found.handle)) : "";
  });

async function checkRequest(bench: Bench, { request: pem = "" }: Files): Promise<void> {
  const parsed = new x509.Pkcs10CertificateRequest(decodePem("CERTIFICATE REQUEST", pem) ?? "");
  expect(await parsed.verify(webcrypto)).toBe(true);
  expect(toHex(new Uint8Array(parsed.publicKey.rawData))).toBe(
    toHex((await keyOnCard(bench.pcsc)) ?? new Uint8Array()),
  );
}

test.each(FAULTS_HERE.map((fault) => [fault.name, fault] as const))(
  "a request for a new key, struck by %s at each exchange: the same call again completes, and makes no second key",
  async (_name, fault) => {
    const healthy = await freshBench();
    await request(healthy.pcsc, {});
    const { exchanges } = healthy;
    expect(exchanges).toBeGreaterThan(10);
    let failed = 0;
    for (let position = 1; position <= exchanges; position++) {
      const bench = await freshBench();
      const files: Files = {};
      bench.strikeAt(position, fault);
      await request(bench.pcsc, files).catch(() => failed++);
      bench.heal();
      await request(bench.pcsc, files);
      await checkRequest(bench, files);
      expect([position, bench.generated]).toEqual([position, 1]);
    }
    expect(failed).toBeGreaterThan(0);
  },
);

test.each(FAULTS_HERE.map((fault) => [fault.name, fault] as const))(
  "the issued certificate, struck by %s at each exchange: the same call again completes",
  async (_name, fault) => {
    const healthy = await freshBench();
    const made: Files = {};
    await request(healthy.pcsc, made);
    healthy.exchanges = 0;
    await finish(healthy.pcsc, made, await issue(made.request ?? ""));
    const { exchanges } = healthy;
    let failed = 0;
    for (let position = 1; position <= exchanges; position++) {
      const bench = await freshBench();
      const files: Files = {};
      await request(bench.pcsc, files);
      const before = await onCard(bench.pcsc);
      const issued = await issue(files.request ?? "");
      bench.strikeAt(position, fault);
      await finish(bench.pcsc, files, issued).catch(() => failed++);
      bench.heal();
      // The old certificate or the new one, and nothing between.
      expect([before, toHex(issued)]).toContain(await onCard(bench.pcsc));
      await finish(bench.pcsc, files, issued);
      expect(await onCard(bench.pcsc)).toBe(toHex(issued));
    }
    expect(failed).toBeGreaterThan(0);
  },
);
