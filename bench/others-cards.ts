/**
 * Rows for cards of the kinds that other people made, with virtual cards that behave like them, in this process: their budgets, also beside
 * another program, and for writing. OpenSC's figures were counted with the real ones.
 */
import {
  constants,
  createHash,
  createPublicKey,
  type KeyObject,
  publicEncrypt,
  verify,
  X509Certificate,
} from "node:crypto";
import { concat, fromHex, toHex, utf8 } from "../src/bytes/index.ts";
import { encodeTlv } from "../src/apdu/index.ts";
import { Cryptoki, MemoryReaders, profiles } from "../src/index.ts";
import type { VirtualCard } from "../src/virtual/index.ts";
import { issueCertificate } from "../src/virtual/pkcs15/plan.ts";
import { AppletCard, PIN as CAC_PIN } from "../test/cac/applet-card.ts";
import { key as cacKey, listedApplets } from "../test/cac/cards.ts";
import { REBUILT_KEYS, rebuiltCard } from "../test/pkcs15/rebuilt-card.ts";
import { HSM_PIN } from "../test/pkcs15/smartcard-hsm-card.ts";
import { EC as HSM_EC, labCard, RSA as HSM_RSA } from "../test/pkcs15/smartcard-hsm-lab.ts";
import { testCard, testKey, testPkcs15Card } from "../test/virtual/keys.ts";
import type { CountedRun, Step } from "./counted-run.ts";
import { CountingCard } from "./counting-card.ts";
import { countNamedRows, type NamedDriver, type NamedRow, type NamedWork } from "./named-work.ts";
import type { CountedTable } from "./report.ts";
import { Walk } from "./walk-calls.ts";

const DATA = Buffer.from("data to be signed");
const CKM = { RSA_PKCS: "0x1", SHA256_RSA_PKCS: "0x40", ECDSA: "0x1041", ECDSA_SHA1: "0x1042" } as const;
/** Enough further uses to see that each costs the same. */
const TIMES = "4";

interface Row extends NamedRow {
  /** What OpenSC 0.23 took on the real card. */
  readonly openSc?: number;
}

interface Subject {
  readonly title: string;
  readonly make: () => Promise<VirtualCard>;
  readonly pin: string;
  /** Whether an idle program is connected too. */
  readonly beside?: boolean;
  readonly rows: readonly Row[];
}

const list: NamedWork = { name: "list", args: ["list"], isRight: (detail) => detail.trim() !== "" };

function objects(id: string): NamedWork {
  return { name: "objects", args: ["objects"], isRight: (detail) => new RegExp(`(^| )1:${id}:`, "u").test(detail) };
}

function read(id: string, key: KeyObject): NamedWork {
  const isRight = (detail: string): boolean =>
    new X509Certificate(Buffer.from(detail, "hex")).publicKey.equals(createPublicKey(key));
  return { name: "read", args: ["read", id], isRight };
}

function sign(id: string, privateKey: KeyObject, hash: "sha256" | "sha1" = "sha256"): NamedWork {
  const key = { key: createPublicKey(privateKey), dsaEncoding: "ieee-p1363" } as const;
  const isRsa = privateKey.asymmetricKeyType === "rsa";
  const [mechanism, input] = isRsa
    ? [CKM.SHA256_RSA_PKCS, DATA]
    : hash === "sha1"
      ? [CKM.ECDSA_SHA1, DATA]
      : [CKM.ECDSA, createHash("sha256").update(DATA).digest()];
  return {
    name: `sign ${isRsa ? "RSA" : "EC"}`,
    args: ["sign", id, mechanism, input.toString("hex"), TIMES],
    isRight: (detail) => verify(hash, DATA, key, Buffer.from(detail, "hex")),
  };
}

function decrypt(id: string, privateKey: KeyObject): NamedWork {
  const box = publicEncrypt({ key: createPublicKey(privateKey), padding: constants.RSA_PKCS1_PADDING }, DATA);
  return {
    name: "decrypt",
    args: ["decrypt", id, CKM.RSA_PKCS, box.toString("hex"), TIMES],
    isRight: (detail) => detail === DATA.toString("hex"),
  };
}

/** Five rows, as every table of the budgets has them. */
function usual(
  works: { readonly id: string; readonly rsa: NamedWork; readonly ec?: NamedWork; readonly read: NamedWork },
  budget: {
    readonly list: number;
    readonly objects: number;
    readonly rsa: number;
    readonly ec?: number;
    readonly read: number;
  },
  openSc: { readonly list: number; readonly objects: number; readonly rsa: number; readonly read: number },
): readonly Row[] {
  const { ec } = works;
  return [
    { title: "list", work: list, counted: "first", budget: budget.list, openSc: openSc.list },
    { title: "objects", work: objects(works.id), counted: "first", budget: budget.objects, openSc: openSc.objects },
    { title: "sign, RSA-2048", work: works.rsa, counted: "first", budget: budget.rsa, openSc: openSc.rsa },
    ...(ec ? [{ title: "sign, P-256", work: ec, counted: "first", budget: budget.ec ?? 0 } as const] : []),
    { title: "read", work: works.read, counted: "first", budget: budget.read, openSc: openSc.read },
  ];
}

const next = (work: NamedWork, title: string, budget: number): Row => ({
  title: `next, ${title}`,
  work,
  counted: "next",
  budget,
});

/** An answer to reset that tells nothing: a Java Card's. */
const JAVA_CARD = fromHex("3bf81300008131fe454a434f5076323431b7");
const SELECT = 0xa4;

/** A PIV card with another answer to reset, and perhaps a name in its answer to SELECT. */
function disguised(card: VirtualCard, label?: string): VirtualCard {
  const named =
    label === undefined
      ? undefined
      : concat(encodeTlv(0x61, encodeTlv(0x4f, fromHex("0100")), encodeTlv(0x50, utf8(label))), fromHex("9000"));
  return {
    atr: JAVA_CARD,
    reset: () => {
      card.reset();
    },
    transmit: async (command) => {
      const answer = await card.transmit(command);
      return named && command[1] === SELECT && toHex(answer.subarray(-2)) === "9000" ? named : answer;
    },
  };
}

/** The works of the virtual PIV cards. The key in 9C wants its PIN before each use. */
const pivWorks = {
  id: "01",
  rsa: sign("01", testKey("rsa-2048", "9a")),
  ec: sign("02", testKey("p-256", "9c")),
  read: read("01", testKey("rsa-2048", "9a")),
};
const yubico = { yubico: true, defaultSelected: false, extended: false } as const;
const javaCard = async (): Promise<VirtualCard> =>
  disguised(await testCard({ defaultSelected: false, extended: false }));
const osEid = (): Promise<VirtualCard> => testPkcs15Card({ extended: false, serial: new Uint8Array(8).fill(1) });
const osEidWorks = {
  id: "01",
  rsa: sign("01", testKey("rsa-2048", "authentication")),
  ec: sign("02", testKey("p-256", "authentication")),
  read: read("01", testKey("rsa-2048", "authentication")),
};

/** Two calls of the list reach the card, two of objects, four or five of a signature, three of read: each may confirm once. */
const MORE_BESIDE = { list: 2, objects: 2, sign: 5, read: 3 } as const;

const writing = (certificate: Uint8Array): readonly Row[] => {
  const isRight = (detail: string): boolean => detail === "ready" || detail === "done";
  const rows = [
    { name: "make", title: "generate, P-256", args: ["make", "33"], budget: 40, openSc: 51 },
    {
      name: "import",
      title: "import a certificate",
      args: ["import", "33", toHex(certificate)],
      budget: 28,
      openSc: 29,
    },
    { name: "delete", title: "delete a certificate", args: ["delete", "01"], budget: 22, openSc: 22 },
  ];
  return rows.map(({ name, title, args, budget, openSc }) => ({
    title,
    work: { name, args, isRight },
    counted: "next",
    budget,
    openSc,
  }));
};

async function subjects(): Promise<readonly Subject[]> {
  const authority = { privateKey: testKey("p-256", "authority"), name: "Authority" };
  const subject = { privateKey: testKey("rsa-2048", "9d"), name: "Holder" };
  const certificate = await issueCertificate("authentication", subject, authority);
  const pivKey = testKey("rsa-2048", "9a");
  const osEidKey = testKey("rsa-2048", "authentication");
  const { rsa, ec } = pivWorks;
  return [
    {
      title: "PIV with Yubico's commands, nothing selected after reset (Pico Keys)",
      make: async () => disguised(await testCard(yubico), "Pico Keys PIV"),
      pin: "123456",
      rows: [
        ...usual(
          pivWorks,
          { list: 3, objects: 16, rsa: 7, ec: 5, read: 5 },
          { list: 40, objects: 37, rsa: 46, read: 37 },
        ),
        next(rsa, "RSA-2048", 3),
        next(ec, "P-256 in 9C", 2),
        next(decrypt("01", pivKey), "decryption", 3),
      ],
    },
    {
      title: "PIV on a Java Card, whose answer to reset tells nothing",
      make: javaCard,
      pin: "123456",
      rows: usual(
        pivWorks,
        { list: 4, objects: 17, rsa: 10, ec: 8, read: 6 },
        { list: 37, objects: 34, rsa: 44, read: 34 },
      ),
    },
    {
      title: "PIV on a Java Card, beside an idle program, as after a pause",
      make: javaCard,
      pin: "123456",
      beside: true,
      rows: [
        { title: "list", work: list, counted: "first", budget: 4 + MORE_BESIDE.list },
        { title: "objects", work: objects("01"), counted: "first", budget: 17 + MORE_BESIDE.objects },
        { title: "sign, RSA-2048", work: rsa, counted: "first", budget: 10 + MORE_BESIDE.sign },
        { title: "read", work: pivWorks.read, counted: "first", budget: 6 + MORE_BESIDE.read },
        next(rsa, "RSA-2048", 3),
        next(ec, "P-256 in 9C", 3),
        next(decrypt("01", pivKey), "decryption", 4),
      ],
    },
    {
      title: "IsoApplet 0.6",
      make: () => Promise.resolve(rebuiltCard()),
      pin: "123456",
      rows: [
        ...usual(
          {
            id: "01",
            rsa: sign("01", REBUILT_KEYS["RSA cert"].key()),
            ec: sign("03", REBUILT_KEYS["EC cert"].key(), "sha1"),
            read: read("01", REBUILT_KEYS["RSA cert"].key()),
          },
          { list: 9, objects: 14, rsa: 13, ec: 13, read: 13 },
          { list: 62, objects: 62, rsa: 66, read: 62 },
        ),
        next(sign("01", REBUILT_KEYS["RSA cert"].key()), "RSA-2048", 1),
      ],
    },
    {
      title: "OsEID",
      make: osEid,
      pin: "123456",
      rows: [
        ...usual(
          osEidWorks,
          { list: 9, objects: 21, rsa: 12, ec: 12, read: 18 },
          { list: 69, objects: 68, rsa: 76, read: 68 },
        ),
        next(osEidWorks.rsa, "RSA-2048", 1),
        next(osEidWorks.ec, "P-256", 1),
        // A block as long as the modulus is sent in two halves.
        next(decrypt("01", osEidKey), "decryption", 2),
        ...writing(certificate),
      ],
    },
    {
      title: "OsEID, beside an idle program, as after a pause",
      make: osEid,
      pin: "123456",
      beside: true,
      rows: [
        { title: "list", work: list, counted: "first", budget: 9 + MORE_BESIDE.list },
        { title: "objects", work: objects("01"), counted: "first", budget: 21 + MORE_BESIDE.objects },
        { title: "sign, RSA-2048", work: osEidWorks.rsa, counted: "first", budget: 12 + MORE_BESIDE.sign },
        { title: "read", work: osEidWorks.read, counted: "first", budget: 18 + MORE_BESIDE.read },
        next(osEidWorks.rsa, "RSA-2048", 3),
        next(osEidWorks.ec, "P-256", 3),
        next(decrypt("01", osEidKey), "decryption", 4),
      ],
    },
    {
      title: "SmartCard-HSM",
      make: () => Promise.resolve(labCard()),
      pin: HSM_PIN,
      rows: usual(
        { id: "01", rsa: sign("01", HSM_RSA), ec: sign("02", HSM_EC), read: read("01", HSM_RSA) },
        { list: 4, objects: 13, rsa: 7, ec: 7, read: 7 },
        { list: 66, objects: 65, rsa: 70, read: 65 },
      ),
    },
    {
      // T=0 takes an exchange more for each answer: the rows for libcacard count that.
      title: "CAC with T=1, beside an idle program, as after a pause",
      make: () => Promise.resolve(new AppletCard(listedApplets())),
      pin: Buffer.from(CAC_PIN).toString(),
      beside: true,
      rows: [next(sign("0001", cacKey(1)), "RSA-2048", 2), next(decrypt("0001", cacKey(1)), "decryption", 4)],
    },
  ];
}

/** Does one piece of work in this process, as {@link countedRun} does it in another. */
async function run({ make, pin, beside = false }: Subject, args: readonly string[]): Promise<CountedRun> {
  const card = new CountingCard(await make());
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
  const pcsc = readers.client();
  const other = beside ? await readers.client().connect("Reader") : undefined;
  const steps: Step[] = [];
  const done = (detail: string): Promise<void> => {
    steps.push({ detail, exchanges: card.take() });
    return Promise.resolve();
  };
  const cryptoki = new Cryptoki({ pcsc, profiles });
  try {
    await new Walk(cryptoki, { done, pin }).run(args);
    return { steps };
  } catch (error) {
    return { steps, refusal: error instanceof Error ? error.message : String(error) };
  } finally {
    await cryptoki[Symbol.asyncDispose]();
    await other?.disconnect();
    await pcsc.close();
  }
}

/** @param version Of this library. */
export async function countOthersCards(version: string): Promise<readonly CountedTable[]> {
  const tables: CountedTable[] = [];
  for (const subject of await subjects()) {
    const driver: NamedDriver = {
      name: "cryptoki",
      version,
      launch: () => {
        throw new Error("it runs in this process");
      },
    };
    const counted = await countNamedRows(subject.rows, [driver], (_driver, work) => run(subject, work.args));
    const rows = counted.map((row, index) => {
      const openSc = subject.rows[index]?.openSc;
      return openSc === undefined ? row : { ...row, counts: { ...row.counts, "OpenSC 0.23 elsewhere": openSc } };
    });
    tables.push({ title: subject.title, rows });
  }
  return tables;
}
