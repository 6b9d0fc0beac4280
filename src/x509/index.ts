/** Certificate requests and self-signed certificates with keys of tokens, and requests that renew a certificate. */
export { CertificateError } from "../certificates/index.ts";
export {
  type ContentsOptions,
  createRequest,
  type RequestingKey,
  type RequestOptions,
  selfSign,
  type SelfSignOptions,
} from "./making.ts";
