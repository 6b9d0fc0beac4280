import { createPublicKey, type KeyObject } from "node:crypto";
import { concat, fromHex, utf8 } from "../../src/bytes/index.ts";
import { VirtualFileCard } from "../../src/virtual/iso7816/card.ts";
import type { CardFile as VirtualFile, CardPin, DedicatedFile, MakeName } from "../../src/virtual/iso7816/model.ts";
import { deviatingCertificate, type Iso7816Deviation } from "../../src/virtual/index.ts";
import { issueCertificate } from "../../src/virtual/pkcs15/plan.ts";
import { ReferenceData } from "../../src/virtual/card.ts";
import { testKey } from "../virtual/keys.ts";
import { RECORDING } from "./file-card.ts";

/** The recorded card's keys by their numbers. What it had is not known: these are others of the same kinds. */
const rsa = (name: string): KeyObject => testKey("rsa-2048", name);
export const REBUILT_KEYS = {
  "RSA cert": { number: 0, id: "01", publicFile: "3300", certificate: "3400", key: (): KeyObject => rsa("signs") },
  "RSA decrypt": {
    number: 1,
    id: "02",
    publicFile: "3301",
    certificate: undefined,
    key: (): KeyObject => rsa("reads"),
  },
  "EC cert": { number: 2, id: "03", publicFile: "3302", certificate: "3401", key: (): KeyObject => testKey("p-256") },
} as const;

const CERTIFICATES: Readonly<Record<string, Uint8Array>> = {
  "RSA cert": await certificateOf("RSA cert"),
  "EC cert": await certificateOf("EC cert"),
};

const PIN_LENGTH = 16;
export const REBUILT_PIN = "123456";

interface RebuiltOptions {
  /** 4 to 16 digits; {@link REBUILT_PIN} if left out. */
  readonly pin?: string;
  /** 16 digits; no entry of a directory names it. Left out, the card has none. */
  readonly puk?: string;
  readonly deviations?: readonly Iso7816Deviation[];
  /** The recorded card's applet is 0.6. */
  readonly make?: MakeName;
  /** What stands in the certificate files, by the certificates; default: they themselves. */
  readonly stored?: (der: Uint8Array) => Uint8Array;
}

/**
 * The recorded card as an image of the virtual one: its directories byte for byte, with the access rules that it told; and in place
 * of its keys, which are unknown, others with their public keys and certificates where its were.
 */
export function rebuiltCard({
  pin = REBUILT_PIN,
  puk,
  deviations,
  make = "iso-applet",
  stored = (der) => der,
}: RebuiltOptions = {}): VirtualFileCard {
  const has = (deviation: Iso7816Deviation): boolean => deviations?.includes(deviation) ?? false;
  const tries = has("five-pin-tries") ? 5 : 3;
  const replaced = new Map<string, Uint8Array>();
  for (const [name, { publicFile, certificate, key }] of Object.entries(REBUILT_KEYS)) {
    replaced.set(`5015${publicFile}`, publicKeyFile(key()));
    if (certificate)
      replaced.set(`5015${certificate}`, deviatingCertificate(stored(CERTIFICATES[name] ?? new Uint8Array()), has));
  }
  const files = Object.entries(RECORDING.files).map(([path, { contents, control }]): [string, VirtualFile] => [
    path,
    {
      kind: "transparent",
      id: Number.parseInt(path.slice(-4), 16),
      security: fromHex(/8608(.{16})$/u.exec(control)?.[1] ?? ""),
      contents: replaced.get(path) ?? fromHex(contents),
    },
  ]);
  const below = (directory: string): VirtualFile[] =>
    files.filter(([path]) => path.slice(0, -4) === directory).map(([, file]) => file);
  // Of the directories nothing was recorded: files are made and taken away with the PIN.
  const security = fromHex("ff90909090909090");
  const application: DedicatedFile = { kind: "df", id: 0x5015, security, files: below("5015") };
  const value = concat(utf8(pin), new Uint8Array(PIN_LENGTH - pin.length));
  return new VirtualFileCard({
    traits: { make, extended: false, serial: new Uint8Array(8), ...(deviations && { deviations }) },
    masterFile: { kind: "df", id: 0x3f00, security: new Uint8Array(), files: [...below(""), application] },
    pins: new Map<number, CardPin>([
      [1, { data: new ReferenceData(value, tries), minLength: 4, ...(puk !== undefined && { puk: 2 }) }],
      ...(puk === undefined ? [] : [[2, { data: new ReferenceData(utf8(puk), tries), minLength: 16 }] as const]),
    ]),
    keys: new Map(Object.values(REBUILT_KEYS).map(({ number, key }) => [number, key()])),
    changes: 0,
  });
}

function publicKeyFile(key: KeyObject): Uint8Array {
  const half = createPublicKey(key);
  return key.asymmetricKeyType === "rsa"
    ? half.export({ format: "der", type: "pkcs1" })
    : half.export({ format: "der", type: "spki" });
}

function certificateOf(name: keyof typeof REBUILT_KEYS): Promise<Uint8Array> {
  const privateKey = REBUILT_KEYS[name].key();
  const authority = { privateKey: testKey("p-256", "authority"), name: "Lab Issuing CA" };
  return issueCertificate("authentication", { privateKey, name }, authority);
}
