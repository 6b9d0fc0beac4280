/**
 * The rows for PKCS #15 cards: one that was recorded, rebuilt with keys of our own, which is the card of the budgets; and the virtual
 * one, with two PINs and seven certificates, which answers to reset and speaks as OsEID does, so that OpenSC knows it.
 */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, verify, X509Certificate } from "node:crypto";
import { type VirtualCard, VirtualPkcs15Card } from "../src/virtual/index.ts";
import type { Pcscd as Daemon } from "../test/interop/rig/pcscd.ts";
import { requireLibrary } from "../test/interop/rig/require.ts";
import { REBUILT_KEYS, rebuiltCard } from "../test/pkcs15/rebuilt-card.ts";
import { PIN } from "./cards.ts";
import { withCard } from "./count.ts";
import { countedRun } from "./counted-run.ts";
import { debianVersion } from "./drivers.ts";
import {
  countNamedRows,
  moduleDriver,
  type NamedDriver,
  type NamedRow,
  type NamedWatcher,
  type NamedWork,
  ourDriver,
} from "./named-work.ts";
import type { CountedRow, CountedTable } from "./report.ts";

const DATA = Buffer.from("data to be signed");
const CKM_SHA256_RSA_PKCS = "0x40";
const CKM_ECDSA = "0x1041";
/** Enough further signatures to see that each costs the same. */
const TIMES = 4;

interface Subject {
  readonly title: string;
  /** Cards that differ in nothing. */
  readonly make: () => Promise<VirtualCard>;
  readonly rows: readonly NamedRow[];
}

const LIST: NamedWork = { name: "list", args: ["list"], isRight: (detail) => detail.trim() !== "" };

/** Certificates of these keys, by CKA_ID, must be among the objects. */
function objects(...ids: readonly string[]): NamedWork {
  const isRight = (detail: string): boolean => ids.every((id) => new RegExp(`(^| )1:${id}:`, "u").test(detail));
  return { name: "objects", args: ["objects"], isRight };
}

function read(id: string, key: KeyObject): NamedWork {
  const isRight = (detail: string): boolean =>
    new X509Certificate(Buffer.from(detail, "hex")).publicKey.equals(createPublicKey(key));
  return { name: "read", args: ["read", id], isRight };
}

function sign(id: string, privateKey: KeyObject): NamedWork {
  const isRsa = privateKey.asymmetricKeyType === "rsa";
  const mechanism = isRsa ? CKM_SHA256_RSA_PKCS : CKM_ECDSA;
  const input = isRsa ? DATA : createHash("sha256").update(DATA).digest();
  const key = { key: createPublicKey(privateKey), dsaEncoding: "ieee-p1363" } as const;
  return {
    name: `sign ${isRsa ? "RSA" : "EC"}`,
    args: ["sign", id, mechanism, input.toString("hex"), String(TIMES)],
    isRight: (detail) => verify("sha256", DATA, key, Buffer.from(detail, "hex")),
  };
}

/** The card of the budgets: three keys, two certificates, one PIN, which is {@link PIN}; its answer to reset tells nothing. */
function rebuilt(): Subject {
  const { id, key } = REBUILT_KEYS["RSA cert"];
  const signing = sign(id, key());
  return {
    title:
      "PKCS #15 card, as recorded (IsoApplet): two RSA-2048 keys and one P-256, two certificates, one PIN, short APDUs",
    make: () => Promise.resolve(rebuiltCard()),
    rows: [
      { title: "list", work: LIST, counted: "first", budget: 11 },
      { title: "objects", work: objects(id, REBUILT_KEYS["EC cert"].id), counted: "first", budget: 26 },
      { title: "sign, RSA-2048", work: signing, counted: "first", budget: 14 },
      { title: "next, RSA-2048", work: signing, counted: "next", budget: 1 },
      { title: "read", work: read(id, key()), counted: "first", budget: 14 },
    ],
  };
}

/** The virtual cards: the same keys in both. */
function virtual(): readonly Subject[] {
  const rsa = (modulusLength: number): KeyObject => generateKeyPairSync("rsa", { modulusLength }).privateKey;
  const ec = (namedCurve: string): KeyObject => generateKeyPairSync("ec", { namedCurve }).privateKey;
  const keys = {
    "authentication-rsa": rsa(2048),
    "authentication-ec": ec("P-256"),
    "signature-rsa": rsa(3072),
    "signature-ec": ec("P-384"),
  };
  const serial = new Uint8Array(8).fill(1);
  const signRsa = sign("01", keys["authentication-rsa"]);
  const signEc = sign("02", keys["authentication-ec"]);
  const rows: readonly NamedRow[] = [
    { title: "list", work: LIST, counted: "first" },
    { title: "objects", work: objects("01", "02"), counted: "first" },
    { title: "sign, RSA-2048", work: signRsa, counted: "first" },
    { title: "next, RSA-2048", work: signRsa, counted: "next", budget: 1 },
    { title: "sign, P-256", work: signEc, counted: "first" },
    { title: "next, P-256", work: signEc, counted: "next", budget: 1 },
    { title: "read", work: read("01", keys["authentication-rsa"]), counted: "first" },
  ];
  return [false, true].map((extended) => ({
    title: `PKCS #15 card, virtual (OsEID): two PINs, four keys, seven certificates, ${extended ? "extended-length" : "short"} APDUs`,
    make: () => VirtualPkcs15Card.create({ keys, serial, extended, pin: PIN }),
    rows,
  }));
}

/** This library, and OpenSC. @param walk The compiled walk.cpp. */
export async function pkcs15Drivers(walk: string, version: string): Promise<readonly NamedDriver[]> {
  const module = requireLibrary("pkcs11/opensc-pkcs11.so", "opensc-pkcs11");
  return [ourDriver(version), moduleDriver("OpenSC", await debianVersion("opensc-pkcs11"), walk, module)];
}

/** Counts every row for every driver, each piece of work in a fresh process on a card just made. */
export async function countPkcs15Rows(
  daemon: Daemon,
  drivers: readonly NamedDriver[],
  watch: NamedWatcher,
): Promise<readonly CountedTable[]> {
  const tables: CountedTable[] = [];
  for (const { title, make, rows } of [rebuilt(), ...virtual()]) {
    let counted: readonly CountedRow[] = [];
    await withCard(daemon, await make(), async (card) => {
      counted = await countNamedRows(rows, drivers, async (driver, work) => {
        card.exchangeFor(await make());
        const run = await countedRun(card, driver.launch(work.args), daemon.env);
        watch(driver, work.name, run);
        return run;
      });
    });
    tables.push({ title, rows: counted });
  }
  return tables;
}
