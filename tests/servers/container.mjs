// Creates the container `keys` in Azurite. Usage: node container.mjs ENDPOINT ACCOUNT KEY
import { BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";

const [endpoint, account, key] = process.argv.slice(2);
const service = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, key));
await service.createContainer("keys");
