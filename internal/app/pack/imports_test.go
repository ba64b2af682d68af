package pack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestImports has handler files that load, and some that cannot.
func TestImports(t *testing.T) {
	for _, c := range []struct {
		name, runtime, handler, file, src string
		missing                           string // "" for none
	}{
		{"node's own and the SDK", "nodejs22.x", "index.handler", "index.mjs", "import fs from 'node:fs'\nimport { readFile } from \"fs/promises\"\nimport { S3Client } from '@aws-sdk/client-s3'\nimport './other.js'\n", ""},
		{"the second SDK where nobody installed it", "nodejs22.x", "index.handler", "index.js", "const AWS = require('aws-sdk')\n", "aws-sdk"},
		{"the second SDK where it is", "nodejs18.x", "index.handler", "index.js", "const AWS = require('aws-sdk')\n", ""},
		{"an import", "nodejs22.x", "index.handler", "index.mjs", "import axios from 'axios'\n", "axios"},
		{"an import for its effects", "nodejs22.x", "index.handler", "index.mjs", "import 'reflect-metadata'\n", "reflect-metadata"},
		{"minified", "nodejs22.x", "index.handler", "index.mjs", "import{a as b}from\"@scope/pkg/deep\";\n", "@scope/pkg"},
		{"several lines", "nodejs22.x", "index.handler", "index.js", "const {\n  a,\n} = require('uuid4')\n", "uuid4"},
		{"a require", "nodejs22.x", "src/index.handler", "src/index.js", "'use strict'\nconst _ = require('lodash/fp')\n", "lodash"},
		{"optional ones", "nodejs22.x", "index.handler", "index.js", "try {\n  x = require('maybe')\n} catch {}\nif (y) {\n  const z = require('perhaps')\n}\nlazy(() => import('later'))\n", ""},
		{"words in text", "nodejs22.x", "index.handler", "index.js", "/*\nimport a from 'doc'\n*/\nconst s = `\nimport b from 'text'\n`\n// import c from 'x'\n", ""},
		{"a package that is there", "nodejs22.x", "index.handler", "index.js", "const a = require('have')\n", ""},
		{"one that the manifest names", "nodejs22.x", "index.handler", "index.js", "const a = require('named')\n", ""},
		{"an alias", "nodejs22.x", "index.handler", "index.js", "const a = require('#internal')\n", ""},
		{"the standard library and boto3", "python3.12", "app.handler", "app.py", "from __future__ import annotations\nimport os, json as j\nimport boto3\nfrom botocore.config import Config\nfrom . import x\nimport os.path  # path\n", ""},
		{"one", "python3.12", "app.handler", "app.py", "import requests\n", "requests"},
		{"several", "python3.12", "pkg.app.handler", "pkg/app.py", "import os, yaml as y, numpy.linalg\nfrom pydantic.main import BaseModel\n", "yaml, numpy, pydantic"},
		{"optional ones in python", "python3.12", "app.handler", "app.py", "try:\n    import ujson as json\nexcept ImportError:\n    import json\nif False:\n    import never\ndef f():\n    import later\n", ""},
		{"words in a docstring", "python3.12", "app.handler", "app.py", "\"\"\"Usage:\nimport requests\n\"\"\"\nx = '''\nimport yaml\n'''\n", ""},
		{"modules of the folder", "python3.12", "app.handler", "app.py", "import have\nimport single\nimport native\n", ""},
		{"paths of its own", "python3.12", "app.handler", "app.py", "import sys\nsys.path.insert(0, 'vendor')\nimport requests\n", ""},
		{"no handler file", "python3.12", "gone.handler", "app.py", "import requests\n", ""},
		{"another runtime", "provided.al2023", "app.handler", "app.py", "import requests\n", ""},
	} {
		dir := t.TempDir()
		for name, body := range map[string]string{c.file: c.src, "node_modules/have/index.js": "", "have/__init__.py": "", "single.py": "", "native.cpython-312-x86_64-linux-gnu.so": "",
			"package.json": `{"dependencies":{"named":"1"}}`} {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		o := Options{Supplies: func(runtime, name string) bool { return runtime == "nodejs18.x" && name == "aws-sdk" }}
		err := o.imports(dir, c.runtime, c.handler)
		if c.missing == "" && err != nil || c.missing != "" && (err == nil || !strings.Contains(err.Error(), "imports "+c.missing+",")) {
			t.Errorf("%s: %v, want %q", c.name, err, c.missing)
		}
	}
}

func FuzzImports(f *testing.F) {
	f.Add([]byte("import a from 'b'\n`"))
	f.Add([]byte("import os, yaml as y\n'''"))
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, name := range append(nodeNames(src), pythonNames(src)...) {
			if name == "" || strings.ContainsAny(name, "\n '\"") {
				t.Errorf("%q from %q", name, src)
			}
		}
	})
}
