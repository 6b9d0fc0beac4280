import { bytesLong, hex, type Instruction, p1p2 } from "./instruction.ts";

const GSC = "GSC-IS 2.1 (NISTIR 6887)";

/** Commands of CAC cards, proprietary class. */
export const GSC_IS: readonly Instruction[] = [
  {
    ins: 0x42,
    name: "PRIVATE SIGN/DECRYPT",
    standard: GSC,
    details: ({ p1, data }) => [
      `${bytesLong(data.length)} of input`,
      ...((p1 & 0x80) === 0 ? [] : ["more parts follow"]),
    ],
  },
  { ins: 0x4c, name: "GET ACR", standard: GSC },
  { ins: 0x52, name: "READ BUFFER", standard: GSC, details: (command) => [`offset ${p1p2(command)}`] },
  { ins: 0x56, name: "GET PROPERTIES", standard: GSC },
  { ins: 0x58, name: "UPDATE BUFFER", standard: GSC, details: (command) => [`offset ${p1p2(command)}`] },
];

const SMARTCARD_HSM = "SmartCard-HSM (OpenSC, card-sc-hsm.c)";
const SIGN_WITH: Readonly<Record<number, string>> = { 0x20: "RSA without padding", 0x70: "ECDSA" };

/** Commands of CardContact's applet, proprietary class, where none of a CAC has the same form. */
export const SMARTCARD_HSM_COMMANDS: readonly Instruction[] = [
  { ins: 0x58, name: "ENUMERATE OBJECTS", standard: SMARTCARD_HSM, when: ({ data }) => data.length === 0 },
  {
    ins: 0x62,
    name: "DECIPHER",
    standard: SMARTCARD_HSM,
    details: ({ p1, p2 }) => [`key ${p1}`, p2 === 0x80 ? "agrees on a secret" : `algorithm ${hex(p2)}`],
  },
  {
    ins: 0x68,
    name: "SIGN",
    standard: SMARTCARD_HSM,
    details: ({ p1, p2 }) => [`key ${p1}`, SIGN_WITH[p2] ?? `algorithm ${hex(p2)}`],
  },
];

const READER = "PC/SC part 3 3.2.2.1";

/** Class FF: commands that a contactless reader answers itself. */
export const READER_COMMANDS: readonly Instruction[] = [
  { ins: 0x82, name: "LOAD KEYS", standard: READER, details: () => ["data concealed"] },
  { ins: 0x86, name: "GENERAL AUTHENTICATE", standard: READER },
  { ins: 0xb0, name: "READ BINARY", standard: READER, details: (command) => [`block ${p1p2(command)}`] },
  {
    ins: 0xca,
    name: "GET DATA",
    standard: READER,
    details: ({ p1 }) => [p1 === 0 ? "identifier of the card (UID)" : "historical bytes of the ATS"],
  },
  { ins: 0xd6, name: "UPDATE BINARY", standard: READER, details: (command) => [`block ${p1p2(command)}`] },
];
