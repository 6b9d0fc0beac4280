import { type Dialect, mechanisms } from "../dialect.ts";
import { algorithm, file, keyReference, type KeyRequest, type KeyUse, refuse } from "../keys/key-use.ts";
import { MAKES } from "../recognition/makes.ts";
import { standardUse } from "./standard-use.ts";

const SETCOS_ALGORITHM = { RAW: 0x00, PKCS1: 0x02 } as const;

/** SetCOS, of which the Finnish and the older Swedish identity cards are made. */
function setcosUse(request: KeyRequest, reference: Uint8Array): KeyUse {
  if (request.operation === "derive" || request.key.type === "ec") return refuse(request);
  const number = request.primitive === "rsa-raw" ? SETCOS_ALGORITHM.RAW : SETCOS_ALGORITHM.PKCS1;
  return standardUse(request, algorithm(number), file(request.key), reference);
}

const SETCOS_MECHANISMS = mechanisms({ "rsa-raw": [512, 2048], "rsa-pkcs1": [512, 2048] });

export const SWEDISH_EID: Dialect = {
  name: "Swedish eID (NIDEL, Net iD)",
  source: "OpenSC, card-setcos.c (SC_CARD_TYPE_SETCOS_NIDEL: the key is named by its file alone)",
  recognises: MAKES.swedishEid,
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-raw", "rsa-pkcs1"] : []),
  mechanisms: SETCOS_MECHANISMS,
  use: (request) => setcosUse(request, new Uint8Array()),
};

export const FINEID: Dialect = {
  name: "FinEID (SetCOS 4.4)",
  source: "OpenSC, card-setcos.c (setcos_set_security_env: algorithm 02 is PKCS #1 padding, 00 none)",
  recognises: MAKES.finEid,
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-raw", "rsa-pkcs1"] : []),
  mechanisms: SETCOS_MECHANISMS,
  use: (request) => setcosUse(request, keyReference(request.key)),
};
