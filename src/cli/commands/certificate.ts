import type { Command } from "commander";
import type { Environment } from "../output/printer.ts";
import { addCertificateDelete } from "./certificate-delete.ts";
import { addCertificateExport } from "./certificate-export.ts";
import { addCertificateImport } from "./certificate-import.ts";
import { addCertificateList } from "./certificate-list.ts";
import { addCertificateRenew } from "./certificate-renew.ts";
import { addCertificateRequest } from "./certificate-request.ts";
import { addCertificateSelfSign } from "./certificate-self-sign.ts";

export function addCertificate(program: Command, environment: Environment): void {
  const certificate = program
    .command("certificate")
    .summary("request, write, renew, list and delete certificates")
    .description("The certificates of the keys on the cards.");
  addCertificateRequest(certificate, environment);
  addCertificateSelfSign(certificate, environment);
  addCertificateImport(certificate, environment);
  addCertificateRenew(certificate, environment);
  addCertificateExport(certificate, environment);
  addCertificateList(certificate, environment);
  addCertificateDelete(certificate, environment);
}
