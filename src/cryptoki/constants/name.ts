import { CKA } from "./cka.ts";
import {
  CKC,
  CKD,
  CKG_GENERATOR,
  CKG_MGF,
  CKH,
  CKK,
  CKN,
  CKO,
  CKP_PBKD2,
  CKP_PROFILE,
  CKS,
  CKU,
  CKZ_OAEP,
  CKZ_PBKD2,
} from "./ck.ts";
import {
  CKF_HKDF,
  CKF_INITIALIZE,
  CKF_INTERFACE,
  CKF_MECHANISM,
  CKF_MESSAGE,
  CKF_OTP,
  CKF_SESSION,
  CKF_SLOT,
  CKF_TOKEN,
  CKF_WAIT,
} from "./ckf.ts";
import { CKM } from "./ckm.ts";
import { CKR } from "./ckr.ts";

const FLAGS = {
  CKF_SLOT,
  CKF_TOKEN,
  CKF_SESSION,
  CKF_MECHANISM,
  CKF_MESSAGE,
  CKF_INTERFACE,
  CKF_INITIALIZE,
  CKF_WAIT,
  CKF_OTP,
  CKF_HKDF,
} as const;

const VALUES = {
  CKA,
  CKC,
  CKD,
  CKG_GENERATOR,
  CKG_MGF,
  CKH,
  CKK,
  CKM,
  CKN,
  CKO,
  CKP_PBKD2,
  CKP_PROFILE,
  CKR,
  CKS,
  CKU,
  CKZ_OAEP,
  CKZ_PBKD2,
} as const;

/** A group of constants in which a value has one name: a prefix, or a part of one whose values repeat. */
export type ConstantGroup = keyof typeof VALUES;
/** Flags of one structure. */
export type FlagGroup = keyof typeof FLAGS;

const VENDOR_DEFINED = 0x80000000;
const MAX_ULONG32 = 0xffffffff;
const reverse = new Map<ConstantGroup, ReadonlyMap<number, string>>();

/**
 * The standard's name for a constant: `nameOf("CKR", 0xa0)` is "CKR_PIN_INCORRECT". Prefers current names to deprecated
 * ones. "CKR_VENDOR_DEFINED|0x1" for a vendor's value; "CKR_0x999" for a value without a name.
 */
export function nameOf(group: ConstantGroup, value: number): string {
  let names = reverse.get(group);
  if (!names) {
    names = invert(VALUES[group]);
    reverse.set(group, names);
  }
  const prefix = group.slice(0, 3);
  const name = names.get(value);
  if (name !== undefined) return `${prefix}_${name}`;
  const vendor = names.has(VENDOR_DEFINED) && value > VENDOR_DEFINED && value <= MAX_ULONG32;
  return vendor
    ? `${prefix}_VENDOR_DEFINED|0x${(value - VENDOR_DEFINED).toString(16)}`
    : `${prefix}_0x${value.toString(16)}`;
}

/** The first name of each value counts: deprecated ones come at the end of their table. */
function invert(table: Readonly<Record<string, number>>): Map<number, string> {
  const names = new Map<number, string>();
  for (const [name, value] of Object.entries(table)) {
    if (!names.has(value)) names.set(value, name);
  }
  return names;
}

/**
 * The standard's names for the bits set in `flags`, lowest first: `flagNames("CKF_SESSION", 6)` is ["CKF_RW_SESSION",
 * "CKF_SERIAL_SESSION"]. A bit without a name is "CKF_0x80".
 */
export function flagNames(group: FlagGroup, flags: number): string[] {
  const names = invert(FLAGS[group]);
  return Array.from({ length: 32 }, (_, bit) => 2 ** bit)
    .filter((bit) => (flags & bit) !== 0)
    .map((bit) => `CKF_${names.get(bit) ?? `0x${bit.toString(16)}`}`);
}
