import { constants, createPublicKey, diffieHellman, generateKeyPairSync, publicEncrypt, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import {
  CK_TOKEN_INFO,
  CKA,
  CKD,
  CKF,
  CKK,
  CKM,
  CKO,
  CKR,
  CKU,
  Cryptoki,
  CryptokiError,
} from "../../src/cryptoki/index.ts";
