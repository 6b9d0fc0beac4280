import type { CardCertificate, CardData, CardPrivateKey, CardPublicKey } from "../card/index.ts";
import { toHex } from "../bytes/index.ts";
import type { DataContainer } from "./data-container.ts";
import type { PkiObject } from "./pki-object.ts";
import { placeName } from "./place.ts";

/** With RSA, signing and decrypting are one and the same operation of the card, whatever the certificate is for. */
const USAGE = { sign: true, decrypt: true, derive: false } as const;

/** A PKI object as the facade sees it. */
export interface PkiObjects {
  readonly pki: PkiObject;
  readonly certificate: CardCertificate;
  readonly publicKey: CardPublicKey;
  readonly privateKey: CardPrivateKey;
}

export function pkiObjects(pki: PkiObject): PkiObjects {
  const { label, id } = pki.entry;
  const common = { label, id, exists: () => pki.exists() };
  const reference = (kind: string): string => `${toHex(id)}.${kind}`;
  const { publicKey } = pki;
  return {
    pki,
    certificate: {
      ...common,
      class: "certificate",
      reference: reference("certificate"),
      private: false,
      value: pki.certificate,
    },
    publicKey: {
      ...common,
      class: "public-key",
      reference: reference("public-key"),
      private: false,
      usage: USAGE,
      publicKey,
    },
    privateKey: {
      ...common,
      class: "private-key",
      reference: reference("private-key"),
      private: true,
      usage: USAGE,
      publicKey,
      alwaysAuthenticate: false,
      needsLogin: true,
      primitives: ["rsa-raw"],
    },
  };
}

export function dataObject(container: DataContainer): CardData {
  const { label, listed, place } = container.entry;
  return {
    class: "data",
    reference: `data.${placeName(place)}`,
    label,
    application: label,
    id: new Uint8Array(),
    private: false,
    exists: async (named) => listed || (named && (await container.isFilled())),
    value: container.value,
  };
}
