import { SW } from "../../../apdu/index.ts";
import { buildAtr } from "../../atr.ts";
import { eraseBinary, readBinary, updateBinary } from "../binary.ts";
import { getChallenge } from "../challenge.ts";
import { createFile, deleteFile } from "../file-life.ts";
import type { Instruction, Make } from "../make.ts";
import { readRecord, updateRecord } from "../record.ts";
import { select } from "../select.ts";
import { decodeAccess } from "./access.ts";
import { manageSecurityEnvironment } from "./environment.ts";
import { fileControl } from "./file-control.ts";
import { generateAsymmetricKeyPair } from "./generate.ts";
import { getData } from "./get-data.ts";
import { changeReferenceData, logout, resetRetryCounter, verify } from "./pin.ts";
import { putData } from "./put-data.ts";
import { generalAuthenticate, performSecurityOperation } from "./security-operation.ts";

/** MyEID and its software double OsEID: keys are files, PINs have 8 bytes, and the file system is the card's own. */
export const MYEID: Make = {
  // The double is known by these last historical bytes (OpenSC, card-myeid.c, myeid_match_card).
  atr: (extended) => buildAtr("OsEID", extended),
  instructions: new Map<number, Instruction>([
    [0x0e, eraseBinary],
    [0x20, verify],
    [0x22, manageSecurityEnvironment],
    [0x24, changeReferenceData],
    [0x2a, performSecurityOperation],
    [0x2c, resetRetryCounter],
    [0x2e, logout],
    [0x46, generateAsymmetricKeyPair],
    [0x84, getChallenge],
    [0x86, generalAuthenticate],
    [0xa4, select],
    [0xb0, readBinary],
    [0xb2, readRecord],
    [0xca, getData],
    [0xd6, updateBinary],
    [0xda, putData],
    [0xdc, updateRecord],
    [0xe0, (context, command) => createFile(context, command)],
    [0xe4, deleteFile],
  ]),
  // OpenSC's driver sends DELETE FILE so (card-myeid.c, myeid_delete_file).
  takesClass: (cla, ins) => cla === 0xa0 && ins === 0xe4,
  isDefault: true,
  pinLength: 8,
  // OsEID, card_os/fs.c, fs_read_binary.
  endOfFile: SW.END_OF_FILE,
  rules: ({ security }) => decodeAccess(security),
  fileControl,
};
