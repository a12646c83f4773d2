const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
worker.onmessage = ({ data }) => console.log(data.join(" "));
worker.onerror = ({ message }) => console.error("the worker failed", message);
worker.postMessage(await (await fetch("/digits.json")).json());
