/** Stands for the certification authority that renews certificates; a real one is asked over the network. */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

const SIGNING = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** @param request A certificate request, PKCS #10 in PEM. @returns The certificate, PEM. */
export async function issue(request: string): Promise<string> {
  const { subjectName, publicKey } = new x509.Pkcs10CertificateRequest(request);
  const keys = await crypto.subtle.generateKey(SIGNING, false, ["sign"]);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: subjectName,
      issuer: "CN=Authority of an example",
      publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: SIGNING,
      notAfter: new Date(Date.now() + 365 * 86_400_000),
    },
    crypto,
  );
  return certificate.toString("pem");
}
