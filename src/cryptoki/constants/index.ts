/** The constants of PKCS#11 3.1 without their prefix: `CKM.RSA_PKCS` is CKM_RSA_PKCS. And back: {@link nameOf}. */
export {
  CK,
  CK_CERTIFICATE_CATEGORY,
  CK_OTP,
  CK_OTP_FORMAT,
  CK_OTP_PARAM,
  CK_SECURITY_DOMAIN,
  CK_SP800_108,
  CK_SP800_108_DKM_LENGTH,
  CKA_CRYPTOKI,
  CKA_YUBICO,
  CKC,
  CKD,
  CKG,
  CKG_GENERATOR,
  CKG_MGF,
  CKH,
  CKK,
  CKN,
  CKO,
  CKP,
  CKP_PBKD2,
  CKP_PROFILE,
  CKS,
  CKU,
  CKZ,
  CKZ_OAEP,
  CKZ_PBKD2,
} from "./ck.ts";
export { CKA } from "./cka.ts";
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
export { CKM } from "./ckm.ts";
export { CKR } from "./ckr.ts";
export { type ConstantGroup, type FlagGroup, nameOf, flagNames } from "./name.ts";
