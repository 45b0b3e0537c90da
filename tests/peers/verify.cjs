// Verifies a sigstore bundle under one public key with the sigstore project's own JavaScript verifier.
// Usage: node verify.cjs BUNDLE.json PUBLIC.pem   (exit 0: verified; 1: refused, the reason on stderr)
const fs = require("fs");
const crypto = require("crypto");
const path = require("path");
const modules = path.join(__dirname, ".work", "node_modules");
const { bundleFromJSON } = require(path.join(modules, "@sigstore", "bundle"));
const { Verifier, toSignedEntity, toTrustMaterial } = require(path.join(modules, "@sigstore", "verify"));

const [bundleFile, keyFile] = process.argv.slice(2);
const key = crypto.createPublicKey(fs.readFileSync(keyFile));
const trust = toTrustMaterial(
  { mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1", tlogs: [], certificateAuthorities: [], ctlogs: [], timestampAuthorities: [] },
  () => ({ publicKey: key, validFor: () => true })
);
try {
  const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(bundleFile)));
  const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0, tsaThreshold: 0 });
  verifier.verify(toSignedEntity(bundle));
} catch (error) {
  console.error(`${error.code || error.name}: ${error.message}`);
  process.exit(1);
}
