import { hashLength } from "../../crypto/index.ts";
import { CKK } from "../constants/ckk.ts";
import { CKM } from "../constants/ckm.ts";
import { ccm, gcm } from "./aead.ts";
import { cbc, ctr, ecb } from "./block-cipher.ts";
import { desKey, fromPassword, ofAnyLength } from "./generation.ts";
import { HASHES } from "./hashes.ts";
import { hkdf } from "./hkdf.ts";
import { keyWrap } from "./key-wrap.ts";
import { cmac, cmacGeneral, hmac, hmacGeneral } from "./mac.ts";
import type { GenerationMechanism, KeySizes, SecretMechanism } from "./scheme.ts";

/** In bytes, as the standard has them for these mechanisms. */
const AES_SIZES: KeySizes = { min: 16, max: 32 };
const DES_SIZES: KeySizes = { min: 8, max: 8 };
const DES3_SIZES: KeySizes = { min: 16, max: 24 };
const ANY_SIZE: KeySizes = { min: 1, max: 65_536 };

const AES = { kind: "secret", keyTypes: [CKK.AES], sizes: AES_SIZES } as const;
const DES = { kind: "secret", keyTypes: [CKK.DES], sizes: DES_SIZES } as const;
const DES3 = { kind: "secret", keyTypes: [CKK.DES2, CKK.DES3], sizes: DES3_SIZES } as const;

const GENERATION: readonly GenerationMechanism[] = [
  {
    kind: "generation",
    type: CKM.GENERIC_SECRET_KEY_GEN,
    keyTypes: [CKK.GENERIC_SECRET],
    // This one is in bits (PKCS#11 3.1, Generic secret key generation).
    sizes: { min: 8, max: 8 * ANY_SIZE.max },
    generate: ofAnyLength(),
  },
  {
    kind: "generation",
    type: CKM.AES_KEY_GEN,
    keyTypes: [CKK.AES],
    sizes: AES_SIZES,
    generate: ofAnyLength([16, 24, 32]),
  },
  { kind: "generation", type: CKM.DES_KEY_GEN, keyTypes: [CKK.DES], sizes: DES_SIZES, generate: desKey(8) },
  {
    kind: "generation",
    type: CKM.DES2_KEY_GEN,
    keyTypes: [CKK.DES2],
    sizes: { min: 16, max: 16 },
    generate: desKey(16),
  },
  {
    kind: "generation",
    type: CKM.DES3_KEY_GEN,
    keyTypes: [CKK.DES3],
    sizes: { min: 24, max: 24 },
    generate: desKey(24),
  },
  { kind: "generation", type: CKM.HKDF_KEY_GEN, keyTypes: [CKK.HKDF], sizes: ANY_SIZE, generate: ofAnyLength() },
  ...HASHES.flatMap(({ hmacKey, hmacKeyGen }): GenerationMechanism[] =>
    hmacKeyGen === undefined
      ? []
      : [{ kind: "generation", type: hmacKeyGen, keyTypes: [hmacKey], sizes: ANY_SIZE, generate: ofAnyLength() }],
  ),
  {
    kind: "generation",
    type: CKM.PKCS5_PBKD2,
    keyTypes: [
      CKK.GENERIC_SECRET,
      CKK.AES,
      CKK.HKDF,
      CKK.DES,
      CKK.DES2,
      CKK.DES3,
      ...HASHES.map(({ hmacKey }) => hmacKey),
    ],
    sizes: ANY_SIZE,
    generate: fromPassword,
  },
];

const CIPHERS: readonly SecretMechanism[] = [
  { ...AES, type: CKM.AES_ECB, ...ecb("aes"), wraps: true },
  { ...AES, type: CKM.AES_CBC, ...cbc("aes", false), wraps: true },
  { ...AES, type: CKM.AES_CBC_PAD, ...cbc("aes", true), wraps: true },
  { ...AES, type: CKM.AES_CTR, ...ctr, wraps: true },
  { ...AES, type: CKM.AES_GCM, ...gcm, wraps: true },
  { ...AES, type: CKM.AES_CCM, ...ccm, wraps: true },
  { ...AES, type: CKM.AES_KEY_WRAP, ...keyWrap("plain"), wraps: true },
  { ...AES, type: CKM.AES_KEY_WRAP_PAD, ...keyWrap("padded"), wraps: true },
  { ...AES, type: CKM.AES_KEY_WRAP_KWP, ...keyWrap("padded"), wraps: true },
  { ...AES, type: CKM.AES_KEY_WRAP_PKCS7, ...keyWrap("pkcs7"), wraps: true },
  { ...AES, type: CKM.AES_CMAC, mac: cmac("aes") },
  { ...AES, type: CKM.AES_CMAC_GENERAL, mac: cmacGeneral("aes") },
  { ...DES, type: CKM.DES_ECB, ...ecb("3des"), wraps: true },
  { ...DES, type: CKM.DES_CBC, ...cbc("3des", false), wraps: true },
  { ...DES, type: CKM.DES_CBC_PAD, ...cbc("3des", true), wraps: true },
  { ...DES3, type: CKM.DES3_ECB, ...ecb("3des"), wraps: true },
  { ...DES3, type: CKM.DES3_CBC, ...cbc("3des", false), wraps: true },
  { ...DES3, type: CKM.DES3_CBC_PAD, ...cbc("3des", true), wraps: true },
  { ...DES3, type: CKM.DES3_CMAC, mac: cmac("3des") },
  { ...DES3, type: CKM.DES3_CMAC_GENERAL, mac: cmacGeneral("3des") },
];

const MACS: readonly SecretMechanism[] = HASHES.flatMap(({ hash, hmac: type, hmacGeneral: general, hmacKey }) => {
  const common = { kind: "secret", keyTypes: [CKK.GENERIC_SECRET, hmacKey], sizes: ANY_SIZE } as const;
  return [
    { ...common, type, mac: hmac(hash) },
    { ...common, type: general, mac: hmacGeneral(hash) },
  ];
});

/** HKDF's keys: the standard's own type, and what other derivations give. */
const HKDF = {
  kind: "secret",
  keyTypes: [CKK.HKDF, CKK.GENERIC_SECRET],
  sizes: { min: 1, max: 255 * hashLength("sha512") },
  derive: hkdf,
} as const;

/** The mechanisms with secret keys, and those that make such keys: all of them by the host. */
export const SECRET_KEY_MECHANISMS: readonly (GenerationMechanism | SecretMechanism)[] = [
  ...GENERATION,
  ...CIPHERS,
  ...MACS,
  { ...HKDF, type: CKM.HKDF_DERIVE },
  { ...HKDF, type: CKM.HKDF_DATA, derivesData: true },
];
