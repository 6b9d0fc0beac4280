/** The constants of PKCS#11 3.1 without their prefix: `CKM.RSA_PKCS` is CKM_RSA_PKCS. And back: {@link nameOf}. */
export {
  CK,
  CK_CERTIFICATE_CATEGORY,
  CK_SECURITY_DOMAIN,
  CK_OTP_FORMAT,
  CK_OTP_PARAM,
  CK_OTP,
  CK_SP800_108,
  CK_SP800_108_DKM_LENGTH,
} from "./ck.ts";
export { CKA } from "./cka.ts";
export { CKA_YUBICO } from "./cka-yubico.ts";
export { CKC } from "./ckc.ts";
export { CKD } from "./ckd.ts";
export {
  CKF_SLOT,
  CKF_TOKEN,
  CKF_SESSION,
  CKF_ATTRIBUTE,
  CKF_MECHANISM,
  CKF_MESSAGE,
  CKF_INTERFACE,
  CKF_INITIALIZE,
  CKF_WAIT,
  CKF_OTP,
  CKF_HKDF,
  CKF,
} from "./ckf.ts";
export { CKG_MGF, CKG_GENERATOR, CKG } from "./ckg.ts";
export { CKH } from "./ckh.ts";
export { CKK } from "./ckk.ts";
export { CKM } from "./ckm.ts";
export { CKN } from "./ckn.ts";
export { CKO } from "./cko.ts";
export { CKP_PBKD2, CKP_PROFILE, CKP } from "./ckp.ts";
export { CKR } from "./ckr.ts";
export { CKS } from "./cks.ts";
export { CKU } from "./cku.ts";
export { CKZ_OAEP, CKZ_PBKD2, CKZ } from "./ckz.ts";
export { type ConstantGroup, type FlagGroup, nameOf, flagNames } from "./name.ts";
