import type { CardApplication, CardObject, CardProfile, CardToken } from "../card/index.ts";
import { UnsupportedError } from "../card/index.ts";
import { curveInfo, keyTypeOf } from "../crypto/index.ts";
import type { FarmKey } from "./key.ts";
import type { FarmLink } from "./link.ts";

/** The reader in which a key of a farm is shown. */
export const readerOf = ({ fingerprint }: FarmKey): string => `Farm ${fingerprint.slice(0, 32)}`;

/** Shows a key of a farm as a card with one token: its private key, its public key and its certificate. */
export function farmProfile(link: () => FarmLink | undefined): CardProfile {
  return {
    name: "farm",
    claim: (card): Promise<CardApplication | undefined> => {
      const farm = link();
      const key = farm && [...farm.keys.values()].find((one) => readerOf(one) === card.reader);
      return Promise.resolve(farm && key ? { profile: "farm", tokens: [farmToken(farm, key)] } : undefined);
    },
  };
}

function farmToken(link: FarmLink, key: FarmKey): CardToken {
  const type = keyTypeOf(key.publicKey);
  const bits = type.type === "rsa" ? type.modulusBits : curveInfo(type.curve).bits;
  const objects = objectsOf(key);
  return {
    mechanisms: key.primitives.map((primitive) => ({ primitive, family: type.type, minBits: bits, maxBits: bits })),
    changedBy: null,
    info: () =>
      Promise.resolve({
        label: key.label === "" ? `Farm key ${key.fingerprint.slice(0, 8)}` : key.label,
        manufacturer: "cryptoki",
        model: "Farm key",
        serialNumber: key.fingerprint.slice(0, 16),
        // The PIN stays at the worker: one that is given here is neither checked nor sent.
        pin: { label: "PIN", minLength: 0, maxLength: 255 },
        application: "cryptoki farm v1",
        writeProtected: true,
        needsLogin: false,
      }),
    objects: (classes) => Promise.resolve(classes ? objects.filter((one) => classes.includes(one.class)) : objects),
    pinStatus: () => Promise.resolve({ triesLeft: undefined, maxTries: undefined, verified: false }),
    login: (user) =>
      user === "user"
        ? Promise.resolve()
        : Promise.reject(new UnsupportedError("a farm has no security officer; change the card at its own machine")),
    logout: () => Promise.resolve(),
    use: (_key, primitive, input, options) => link.use(key, primitive, input, options),
  };
}

function objectsOf(key: FarmKey): readonly CardObject[] {
  const { publicKey: spki, certificate, label, id, usage, primitives } = key;
  const type = keyTypeOf(spki);
  const common = { label, id, private: false, isPresent: (): Promise<boolean> => Promise.resolve(true) };
  const publicKey = (): Promise<Uint8Array> => Promise.resolve(spki);
  return [
    {
      ...{ ...common, class: "private-key", reference: "key", type, usage, primitives, publicKey },
      ...{ alwaysAuthenticate: false, needsLogin: false },
    },
    { ...common, class: "public-key", reference: "public-key", type, usage, publicKey },
    ...(certificate
      ? [
          {
            ...common,
            class: "certificate" as const,
            reference: "certificate",
            value: () => Promise.resolve(certificate),
          },
        ]
      : []),
  ];
}
