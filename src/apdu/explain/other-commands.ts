import { bytesLong, type Instruction, p1p2 } from "./instruction.ts";

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
