import { createPublicKey, KeyObject } from "node:crypto";
import { fromUtf8 } from "../../src/bytes/index.ts";
import { profiles } from "../../src/index.ts";
import { VirtualFileCard } from "../../src/virtual/iso7816/card.ts";
import { decodeImage as decodeFileCard } from "../../src/virtual/iso7816/image.ts";
import { VirtualPivCard } from "../../src/virtual/piv/card.ts";
import { decodeImage as decodePivCard } from "../../src/virtual/piv/image.ts";
import { ReferenceData } from "../../src/virtual/card.ts";
import type { IsoContents } from "../../src/virtual/iso7816/model.ts";
import { AppletCard } from "../cac/applet-card.ts";
import { key as cacKey, listedApplets } from "../cac/cards.ts";
import { REBUILT_KEYS, rebuiltCard } from "../pkcs15/rebuilt-card.ts";
import { SmartCardHsm } from "../pkcs15/smartcard-hsm-card.ts";
import { EC, labCard, RSA } from "../pkcs15/smartcard-hsm-lab.ts";
import { testCard, testKey, testPkcs15Card } from "../virtual/keys.ts";
import type { Subject, SweptCard, TestedKey } from "./subject.ts";
import * as work from "./work.ts";

const tested = (id: string, privateKey: KeyObject, hash: TestedKey["hash"] = "sha256"): TestedKey => ({
  id: Buffer.from(id, "hex"),
  privateKey,
  publicKey: createPublicKey(privateKey),
  hash,
});

const id = (...octets: readonly number[]): Uint8Array => Uint8Array.from(octets);

const READING = [
  work.LIST,
  work.TOKEN_INFO,
  work.SEARCH,
  work.SEARCH_LOGGED_IN,
  work.CERTIFICATES,
  work.DATA,
  work.LOGIN,
  work.COLD_LOGIN,
  work.WRONG_LOGIN,
  work.LOGOUT,
  work.SIGN_RSA,
  work.COLD_SIGN,
  work.CHANGE_PIN,
];

/** What is asked of the PIN is taken from where the card keeps it. */
function withPin(card: VirtualPivCard | VirtualFileCard, pin: ReferenceData): SweptCard {
  return {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: (command) => card.transmit(command),
    // PIV and MyEID fill up with FF, IsoApplet with zeros.
    pin: () => fromUtf8(pin.value.filter((octet) => octet >= 0x20 && octet < 0x7f)),
    tries: () => pin.tries,
  };
}

async function pivSubject(): Promise<Subject> {
  const rsa = testKey("rsa-2048", "9a");
  const ec = testKey("p-256", "9e");
  const image = await testCard({
    keys: {
      "9a": { privateKey: rsa },
      "9c": { privateKey: testKey("p-256", "9c") },
      "9d": { privateKey: testKey("rsa-2048", "9d") },
      "9e": { privateKey: ec },
      "82": { privateKey: testKey("p-256", "82") },
    },
    guid: new Uint8Array(16).fill(0x55),
  });
  const original = decodePivCard(image.image());
  return {
    name: "piv",
    profiles,
    officerPin: "010203040506070801020304050607080102030405060708",
    keys: {
      sign: [tested("01", rsa), tested("04", ec)],
      decrypt: tested("03", testKey("rsa-2048", "9d")),
      derive: tested("05", testKey("p-256", "82")),
    },
    works: [
      ...READING,
      work.SIGN_EC,
      work.DECRYPT,
      work.DERIVE,
      work.generate(id(2)),
      work.importCertificate(id(1), id(7)),
      work.IMPORT_DATA,
      work.deleteCertificate(id(2)),
    ],
    make: () => {
      const contents = copied(original);
      return withPin(new VirtualPivCard(contents), contents.pin);
    },
  };
}

/** Contents of another card that are the same; thousands of cards are made, and parsing an image takes long. Keys do not change. */
function copied<T>(value: T): T {
  return copyOf(value) as T;
}

function copyOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof KeyObject) return value;
  if (value instanceof Uint8Array) return value.slice();
  if (value instanceof ReferenceData) return new ReferenceData(value.value, value.maxTries, value.tries);
  if (value instanceof Set) return new Set(value);
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]): [unknown, unknown] => [key, copyOf(item)]));
  if (Array.isArray(value)) return value.map(copyOf);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, copyOf(item)]));
}

function fileCard(image: IsoContents): SweptCard {
  const contents = copied(image);
  const pin = contents.pins.get(1);
  if (!pin) throw new Error("no PIN");
  return withPin(new VirtualFileCard(contents), pin.data);
}

async function eidSubject(): Promise<Subject> {
  const rsa = testKey("rsa-2048", "authentication");
  const ec = testKey("p-256", "authentication");
  const image = decodeFileCard((await testPkcs15Card({ serial: id(1, 2, 3, 4, 5, 6, 7, 8) })).image());
  return {
    name: "pkcs15",
    profiles,
    keys: {
      sign: [tested("01", rsa), tested("02", ec)],
      decrypt: tested("01", rsa),
      derive: tested("02", ec),
    },
    works: [
      ...READING,
      work.SIGN_EC,
      work.DECRYPT,
      work.DERIVE,
      work.generate(id(0x66)),
      work.importKey(testKey("p-256", "brought")),
      work.importCertificate(id(1), id(0x67)),
      work.IMPORT_DATA,
      work.relabel(id(2)),
      work.deleteCertificate(id(2)),
    ],
    make: () => fileCard(image),
  };
}

function isoAppletSubject(): Subject {
  const image = decodeFileCard(rebuiltCard().image());
  const { "RSA cert": rsa, "EC cert": ec, "RSA decrypt": reads } = REBUILT_KEYS;
  return {
    name: "iso-applet",
    profiles,
    keys: {
      sign: [tested(rsa.id, rsa.key()), tested(ec.id, ec.key(), "sha1")],
      decrypt: tested(reads.id, reads.key()),
    },
    works: [...READING, work.SIGN_EC, work.DECRYPT, work.generate(id(0x66)), work.deleteCertificate(id(3))],
    make: () => fileCard(image),
  };
}

function hsmSubject(): Subject {
  const model = labCard();
  return {
    name: "smartcard-hsm",
    profiles,
    keys: {
      sign: [tested("01", RSA), tested("02", EC)],
      decrypt: tested("01", RSA),
      derive: tested("02", EC),
    },
    works: [...READING, work.SIGN_EC, work.DECRYPT, work.DERIVE],
    make: () => {
      const card = new SmartCardHsm();
      for (const [name, contents] of model.files) card.files.set(name, contents);
      for (const [number, key] of model.keys) card.keys.set(number, key);
      return {
        atr: card.atr,
        reset: () => {
          card.reset();
        },
        transmit: (command) => card.transmit(command),
        pin: () => fromUtf8(card.pin.value),
        tries: () => card.pin.tries,
      };
    },
  };
}

function cacSubject(): Subject {
  const applets = listedApplets();
  const keys = [tested("0001", cacKey(1)), tested("0002", cacKey(2))];
  return {
    name: "cac",
    profiles,
    keys: { sign: keys, decrypt: tested("0003", cacKey(3)) },
    works: [...READING, work.DECRYPT],
    make: () => {
      const card = new AppletCard(applets, { changeP1: 0 });
      return {
        atr: card.atr,
        reset: () => {
          card.reset();
        },
        transmit: (command) => card.transmit(command),
        pin: () => fromUtf8(card.pin),
        tries: () => card.tries,
      };
    },
  };
}

/** The kinds of cards that are swept, by name. Each is made once in a process. */
export const SUBJECTS = {
  piv: pivSubject,
  pkcs15: eidSubject,
  "iso-applet": () => Promise.resolve(isoAppletSubject()),
  "smartcard-hsm": () => Promise.resolve(hsmSubject()),
  cac: () => Promise.resolve(cacSubject()),
} as const satisfies Readonly<Record<string, () => Promise<Subject>>>;
