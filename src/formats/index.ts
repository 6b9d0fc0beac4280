/** Signed data in the forms of other programs, with keys of tokens: JWS and JWT, CMS. */
export { type CmsHash, type CmsOptions, signCms } from "./cms.ts";
export {
  type GeneralJws,
  type JoseHeader,
  type JwsAlgorithm,
  type JwsOptions,
  type JwsSignature,
  signGeneralJws,
  type SigningKey,
  signJws,
  signJwt,
} from "./jws.ts";
