import {
  encodeTlv,
  findTlv,
  MalformedAnswerError,
  readTlvs,
  type ResponseApdu,
  StatusError,
  SW,
} from "../../apdu/index.ts";
import { concatSecret, DataError, fromHex, secretUtf8, wipe } from "../../bytes/index.ts";
import { UnsupportedError } from "../../card/index.ts";
import { randomBytes } from "../../crypto/index.ts";
import { verify } from "../files/commands.ts";
import { enter, fileTokenLife, type Initialisation, requireDone } from "../initialising/initialisation.ts";
import { type NewDirectory, word } from "../initialising/layout.ts";
import type { Send } from "../initialising/life.ts";
import { encodeNewPin } from "../pins/pin-encoding.ts";
import { pinFailure } from "../pins/pins.ts";
import { PIN_FLAG, type PinEntry } from "../syntax/authentication.ts";
import { PKCS15_AID } from "../syntax/ef-dir.ts";
import { Flags } from "../syntax/fields.ts";

const PIN_LENGTH = 8;
const USER_ID = 1;
const OFFICER_ID = 3;

function pin(label: string, reference: number, id: number, flags: readonly number[]): PinEntry {
  return {
    class: "pin",
    head: { label, private: true, modifiable: true, authId: undefined, userConsent: undefined, accessRules: [] },
    authId: Uint8Array.of(id),
    flags: Flags.of(PIN_FLAG.INITIALIZED, PIN_FLAG.NEEDS_PADDING, ...flags),
    type: "ascii-numeric",
    minLength: 4,
    storedLength: PIN_LENGTH,
    maxLength: PIN_LENGTH,
    reference,
    padding: 0xff,
    path: undefined,
  };
}

/** References and identifiers as OpenSC's (myeid.profile). */
const USER = pin("PIN", USER_ID, 0x01, []);
const OFFICER = pin("SO PIN", OFFICER_ID, 0xff, [PIN_FLAG.SO]);

const DIRECTORIES: readonly NewDirectory[] = [
  { kind: "private-keys", id: 0x4402, size: 1530 },
  { kind: "public-keys", id: 0x4404, size: 1530 },
  { kind: "certificates", id: 0x4403, size: 1530 },
  { kind: "trusted-certificates", id: 0x4405, size: 510 },
  { kind: "data", id: 0x4406, size: 1530 },
  { kind: "authentication", id: 0x4401, size: 255 },
];

/** Reading always, updating with the PIN, deleting with the SO PIN, four bits each. */
const FILE_RULES = fromHex("013fff");
/** Creating files with the PIN; erasing the card with the SO PIN. */
const MASTER_FILE_RULES = fromHex("113fff");
/** Creating and deleting with the PIN. */
const APPLICATION_RULES = fromHex("111fff");

function file(id: number, size: number): Uint8Array {
  return encodeTlv(
    0x62,
    encodeTlv(0x80, word(size)),
    encodeTlv(0x82, Uint8Array.of(0x01)),
    encodeTlv(0x83, word(id)),
    encodeTlv(0x86, FILE_RULES),
    encodeTlv(0x85, Uint8Array.of(0x00, 0x00)),
    encodeTlv(0x8a, Uint8Array.of(0x00)),
  );
}

/** P2 of PUT DATA that erases the card (OpenSC, pkcs15-myeid.c, myeid_erase_card). */
const INITIALISE_APPLET = 0xe0;

async function putData(send: Send, p2: number, data: Uint8Array): Promise<ResponseApdu> {
  return send({ cla: 0x00, ins: 0xda, p1: 0x01, p2, data, conceal: "command" });
}

/** The master file's life cycle and rules. */
interface MasterFile {
  /** Access rules do not count yet, and PINs can be made. */
  readonly inCreation: boolean;
  /** What erasing the card needs: 0 nothing, F it is impossible, else the reference of a PIN. */
  readonly erasing: number;
}

/** @throws {MalformedAnswerError} */
async function masterFile(send: Send): Promise<MasterFile> {
  const { data } = await enter(send);
  try {
    const [outer] = readTlvs(data, "master file");
    const fields = readTlvs(outer?.value ?? new Uint8Array(), "master file");
    const [lifeCycle] = findTlv(fields, 0x8a) ?? [];
    const [, second = 0] = findTlv(fields, 0x86) ?? [];
    if (lifeCycle === undefined) throw new DataError("no life cycle");
    return { inCreation: lifeCycle === 0x01, erasing: second >> 4 };
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the master file's control information does not parse: ${cause.message}`, { cause });
  }
}

const TRIES = { pin: 3, puk: 10 } as const;

/** PUT DATA makes a PIN with its PUK: both padded, the tries of both, and options (OpenSC, myeid_create_pin). */
async function makePin(send: Send, entry: PinEntry, value: Uint8Array, puk: Uint8Array): Promise<void> {
  const data = concatSecret(value, puk, Uint8Array.of(TRIES.pin, TRIES.puk, 0x00));
  try {
    const answer = await putData(send, entry.reference, data);
    if (answer.sw === SW.SECURITY_STATUS_NOT_SATISFIED) {
      throw new UnsupportedError("the card is in service: its PIN is set with the PUK, not by the security officer", {
        cause: new StatusError("PUT DATA", answer.sw),
      });
    }
    requireDone(`PUT DATA of ${entry.head.label}`, answer);
  } finally {
    wipe(data);
  }
}

/** Encodes the value of a variable. @param otherwise Gives the value without the variable. */
function pukOr(text: string | undefined, otherwise: () => Uint8Array): Uint8Array {
  if (text === undefined) return otherwise();
  const characters = secretUtf8(text);
  try {
    return encodeNewPin({ ...USER, head: { ...USER.head, label: "PUK" } }, characters);
  } finally {
    wipe(characters);
  }
}

/** A PUK that unblocks nothing, because it is told to no caller. */
const unknown = (): Uint8Array => randomBytes(PIN_LENGTH);

/**
 * MyEID and OsEID. The card is activated, which makes its access rules count, with its first PIN. The security officer's
 * PIN erases it. Variables: `so-puk`, the PUK of the SO PIN (default: none), and `puk`, the PUK of the user's PIN (default:
 * the SO PIN).
 */
const INITIALISATION: Initialisation = {
  make: "MyEID",
  manufacturer: "Aventra Ltd.",
  // The applet has the name of its application.
  aid: PKCS15_AID,
  pins: [USER, OFFICER],
  officer: OFFICER,
  eraser: OFFICER,
  user: USER,
  directories: DIRECTORIES,
  sizes: { odf: 255, tokenInfo: 160, dir: 128 },
  file,
  async serialNumber(send) {
    // Five unused bytes, the version, ten of the serial number (OpenSC, myeid_get_serialnr).
    const { data, sw } = await send({ cla: 0x00, ins: 0xca, p1: 0x01, p2: 0xa0, ne: 256 });
    if (sw !== SW.OK || data.length < 18) throw new StatusError("GET DATA of the serial number", sw);
    return data.slice(8, 18);
  },
  async clear(send, value) {
    const { inCreation, erasing } = await masterFile(send);
    if (!inCreation && erasing === 0xf) throw new UnsupportedError("the card was made so that it cannot be erased");
    if (!inCreation && erasing !== 0) {
      const { sw } = await send(verify(erasing, value));
      if (sw !== SW.OK) throw pinFailure(erasing === USER_ID ? USER : OFFICER, sw, 0x20);
    }
    const rules = concatSecret(fromHex("ffff"), MASTER_FILE_RULES, APPLICATION_RULES);
    requireDone("PUT DATA that erases the card", await putData(send, INITIALISE_APPLET, rules));
  },
  async setOfficer(send, value, variables) {
    const puk = pukOr(variables.get("so-puk"), unknown);
    try {
      await makePin(send, OFFICER, value, puk);
    } finally {
      wipe(puk);
    }
  },
  async setUser(send, value, officer, variables) {
    const puk = pukOr(variables.get("puk"), () => (officer ? encodeNewPin(USER, officer) : unknown()));
    try {
      await makePin(send, USER, value, puk);
      requireDone("ACTIVATE APPLET", await send({ cla: 0x00, ins: 0x44, p1: 0x04, p2: 0x00, data: PKCS15_AID }));
    } finally {
      wipe(puk);
    }
  },
};

export const MYEID_LIFE = fileTokenLife(INITIALISATION);
