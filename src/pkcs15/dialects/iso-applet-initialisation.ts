import { encodeTlv, SW } from "../../apdu/index.ts";
import { fromHex, wipe } from "../../bytes/index.ts";
import { UnsupportedError } from "../../card/index.ts";
import { randomBytes } from "../../crypto/index.ts";
import { deleteFile, resetRetryCounter, verify } from "../files/commands.ts";
import { enter, fileTokenLife, type Initialisation, requireDone } from "../initialising/initialisation.ts";
import { FILE, type NewDirectory, word } from "../initialising/layout.ts";
import type { Send } from "../initialising/life.ts";
import { encodePin } from "../pins/pin-encoding.ts";
import { pinFailure } from "../pins/pins.ts";
import { ISO_APPLET_AID } from "../recognition/makes.ts";
import { PIN_FLAG, type PinEntry } from "../syntax/authentication.ts";
import { PKCS15_AID } from "../syntax/ef-dir.ts";
import { Flags } from "../syntax/fields.ts";

/** Bytes of the PUK, and of a padded PIN (IsoApplet.java, PUK_LENGTH and PIN_MAX_LENGTH). */
const LENGTH = 16;
const PUK_ID = Uint8Array.of(2);

function pin(
  label: string,
  reference: number,
  minLength: number,
  flags: readonly number[],
  puk?: Uint8Array,
): PinEntry {
  return {
    class: "pin",
    head: { label, private: true, modifiable: true, authId: puk, userConsent: undefined, accessRules: [] },
    authId: Uint8Array.of(reference),
    flags: Flags.of(PIN_FLAG.CASE_SENSITIVE, PIN_FLAG.INITIALIZED, PIN_FLAG.NEEDS_PADDING, ...flags),
    type: "ascii-numeric",
    minLength,
    storedLength: LENGTH,
    maxLength: LENGTH,
    reference,
    padding: 0x00,
    path: undefined,
  };
}

const USER = pin("PIN", 1, 4, [], PUK_ID);
const PUK = pin("PUK", 2, LENGTH, [PIN_FLAG.UNBLOCKING, PIN_FLAG.UNBLOCK_DISABLED, PIN_FLAG.CHANGE_DISABLED]);

/** Identifiers as OpenSC's (isoApplet.profile); twice the room for certificates and keys. */
const DIRECTORIES: readonly NewDirectory[] = [
  { kind: "authentication", id: 0x4401, size: 256 },
  { kind: "private-keys", id: 0x4402, size: 1024 },
  { kind: "public-keys", id: 0x4403, size: 1024 },
  { kind: "certificates", id: 0x4404, size: 1024 },
  { kind: "data", id: 0x4405, size: 512 },
];

/** After the byte FF a condition for each action: deleting first, reading last; 00 always, 90 after the PIN. */
const RULES = { READ_FREELY: fromHex("ff90909090909000"), APPLICATION: fromHex("ff90909090909090") } as const;

function file(id: number, size: number): Uint8Array {
  return encodeTlv(
    0x6f,
    encodeTlv(0x81, word(size)),
    encodeTlv(0x82, Uint8Array.of(0x01)),
    encodeTlv(0x83, word(id)),
    encodeTlv(0x86, RULES.READ_FREELY),
  );
}

const APPLICATION_DF = encodeTlv(
  0x6f,
  encodeTlv(0x82, Uint8Array.of(0x38)),
  encodeTlv(0x83, word(FILE.APPLICATION)),
  encodeTlv(0x84, PKCS15_AID),
  encodeTlv(0x86, RULES.APPLICATION),
);

/** CHANGE REFERENCE DATA with the new value alone, which an applet without a PIN takes (IsoApplet.java). */
async function setValue(send: Send, reference: number, value: Uint8Array): Promise<number> {
  const command = { cla: 0x00, ins: 0x24, p1: 0x01, p2: reference, data: value, conceal: "command" } as const;
  return (await send(command)).sw;
}

/** Whether the applet has a PIN: without one it answers 9000 to an empty VERIFY, with one the tries that are left. */
async function hasPin(send: Send): Promise<boolean> {
  return (await send(verify(USER.reference))).sw !== SW.OK;
}

/** Only a command that sets a PIN compares the PUK: the PIN becomes a random one. */
async function verifyByPuk(send: Send, puk: Uint8Array): Promise<void> {
  const random = randomBytes(LENGTH);
  try {
    const { sw } = await send(resetRetryCounter(USER.reference, puk, random));
    if (sw !== SW.OK) throw pinFailure(PUK, sw, 0x2c);
    await verifyPin(send, random);
  } finally {
    wipe(random);
  }
}

async function verifyPin(send: Send, value: Uint8Array): Promise<void> {
  const { sw } = await send(verify(USER.reference, value));
  if (sw !== SW.OK) throw pinFailure(USER, sw, 0x20);
}

async function remove(send: Send, id: number): Promise<void> {
  const answer = await send(deleteFile(word(id)));
  if (answer.sw !== SW.FILE_NOT_FOUND) requireDone(`DELETE FILE of ${id.toString(16)}`, answer);
}

/**
 * IsoApplet 0.x and 1.x. The PUK is the security officer's PIN: it sets a forgotten PIN, and so opens the files. The applet
 * keeps PIN and PUK when its files are deleted; only installing it anew removes them.
 */
const INITIALISATION: Initialisation = {
  make: "IsoApplet",
  manufacturer: "IsoApplet",
  aid: ISO_APPLET_AID,
  pins: [USER, PUK],
  officer: PUK,
  eraser: USER,
  user: USER,
  directories: DIRECTORIES,
  sizes: { odf: 256, tokenInfo: 160, dir: 128 },
  file,
  applicationDf: APPLICATION_DF,
  // The applet has none.
  serialNumber: () => Promise.resolve(randomBytes(8)),
  async clear(send, value, by) {
    if (await hasPin(send)) await (by === "so" ? verifyByPuk : verifyPin)(send, value);
    await enter(send);
    await remove(send, FILE.APPLICATION);
    await remove(send, FILE.DIR);
  },
  async setOfficer(send, value) {
    if (!(await hasPin(send))) await setPuk(send, value);
  },
  /** The applet compares the PUK only after it has a PIN. */
  async setUser(send, value, officer) {
    if (!officer) throw new UnsupportedError("an IsoApplet gets its first PIN with its PUK");
    const puk = encodePin(PUK, officer);
    try {
      await setPuk(send, puk);
      const sw = await setValue(send, USER.reference, value);
      if (sw !== SW.OK) throw pinFailure(USER, sw, 0x24);
      const compared = await send(resetRetryCounter(USER.reference, puk, value));
      if (compared.sw !== SW.OK) throw pinFailure(PUK, compared.sw, 0x2c);
    } finally {
      wipe(puk);
    }
  },
};

/** An applet that already has a PUK keeps it. The first use shows whether it is this one. */
async function setPuk(send: Send, value: Uint8Array): Promise<void> {
  const sw = await setValue(send, PUK.reference, value);
  if (sw !== SW.INCORRECT_P1_P2) requireDone("CHANGE REFERENCE DATA for the PUK", { data: new Uint8Array(), sw });
}

export const ISO_APPLET_LIFE = fileTokenLife(INITIALISATION);
