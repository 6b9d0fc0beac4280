import { hex } from "./software-keys.ts";

/** CKA_EC_PARAMS of each curve: RFC 5480 section 2.1.1.1, RFC 8410 section 3. */
export const P_256 = hex("06082a8648ce3d030107");
export const P_384 = hex("06052b81040022");
export const P_521 = hex("06052b81040023");
export const ED25519 = hex("06032b6570");
export const X25519 = hex("06032b656e");
