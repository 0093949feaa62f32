"""The two ways from values to objects, and a matrix of values to try them on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.manifests.render import objects
from deployer.manifests.values import Values, load_values
from party.agreement.job import Job

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"

Object = dict[str, Any]

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

KIND = "logistic-regression"

OFF: Object = {"demo": {"enabled": False}}


class _Quoting(yaml.SafeDumper):
    """Texts in quotes, so that no two readers of YAML take them for something else."""


_Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def values(document: Object | None = None) -> Values:
    """The values that a user's document comes to."""
    return load_values((), document)


def by_deployer(document: Object | None = None, managed_by: str = "deployer") -> list[Object]:
    """All objects that ``deployer render`` makes."""
    return [one for folder in objects(values(document), managed_by).values() for one in folder]


def helm(*arguments: str, document: Object | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm on the chart with values on its standard input; skip where there is no helm."""
    if shutil.which("helm") is None:
        if os.environ.get("CI"):
            pytest.fail("helm is not on the path")
        pytest.skip("helm is not on the path")
    return subprocess.run(
        ["helm", *arguments, "--values", "-"],
        input=yaml.dump(document or {}, Dumper=_Quoting),
        capture_output=True,
        text=True,
        timeout=60,
    )


def by_helm(document: Object | None = None, name: str = "fraud") -> list[Object]:
    """All objects that the chart makes, less those of ``helm test``."""
    ran = helm("template", name, str(CHART), "--namespace", "default", document=document)
    assert ran.returncode == 0, ran.stderr
    everything = [one for one in yaml.load_all(ran.stdout, Loader=_Loader) if one is not None]
    return [one for one in everything if not is_test(one)]


def is_test(one: Object) -> bool:
    """Whether an object is made by ``helm test`` alone."""
    return one["metadata"]["labels"]["app.kubernetes.io/component"] == "test"


def by_name(many: list[Object]) -> dict[tuple[str, str, str], Object]:
    """Objects by kind, namespace and name, of which there is only one each."""
    named = {
        (one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one for one in many
    }
    assert len(named) == len(many)
    return named


def the(kind: str, name: str, many: list[Object]) -> Object:
    """The one object of a kind and name."""
    (one,) = (
        one for one in many if one["kind"] == kind and one["metadata"]["name"] == f"fraud-{name}"
    )
    return one


def pods(many: list[Object]) -> list[Object]:
    """The pod specs in objects."""
    return [
        one["spec"] if one["kind"] == "Pod" else one["spec"]["template"]["spec"]
        for one in many
        if one["kind"] in ("StatefulSet", "Job", "Pod")
    ]


def scoring_queue(matched: bool, key: Any = "id") -> Object:
    """A training, and the scores of its rows, or of all rows of one table, which is joined by
    ``key``; with a label and settings that the second job takes no part of."""
    job: Object = {
        "name": "tables",
        "features": {"alice": ["a"], "bob": ["b"]},
        "label": {"bob": "d"},
        "columns": {"b": {"missing": 0.5}, "d": "boolean"},
        "training": {"passes": 30},
        "evaluation": {"held_out": 0.2},
    }
    job |= {"align": {"key": "id"}} if matched else {"rows": 900}
    trained = Job.model_validate_json(
        json.dumps(job | {"name": "trained", "trust_domain": "tables", "result": "both"})
    )
    model = {"kind": "joint-scores", "holder": "bob", "trained_by": trained.digest}
    scores: Object = {"name": "all", "model": model, "result": "alice"}
    scores |= {"align": {"key": key, "join": "left"}} if matched else {}
    return OFF | {"job": job, "jobs": [{"name": "trained", "result": "both"}, scores]}


PINS: Object = {
    "alice": {"key": f"sha256:{'0' * 64}"},
    "bob": {"authority": f"sha256:{'1' * 64}"},
    "server": {"authority": f"sha256:{'3' * 64}"},
}

MATRIX: dict[str, Object] = {
    "the demo": {},
    "the demo over three namespaces": {
        "alice": {"namespace": "bank"},
        "bob": {"namespace": "police"},
        "server": {"namespace": "third"},
        "image": {"pullSecrets": ["registry"]},
    },
    "no demo": OFF,
    "names": OFF | {"name": "scoring", "namespace": "work", "clusterDomain": "k8s.example"},
    "a job of one's own": OFF
    | {
        "job": {
            "name": "own",
            "protocol": "aby3",
            "rows": 2_000_000,
            "features": ["a<b>&c", "é", "x: #y", " 1 ", "0.1", "true", "null", '"\\', "\u2028"],
            "label": "ja/nein",
            "training": {
                "epochs": 1_000_000,
                "batch_size": 1,
                "learning_rate": 0.00002,
                "order_seed": 2**53 - 1,
            },
        }
    },
    "a job with pins": OFF
    | {
        "job": {
            "identities": {
                "alice": {"key": f"sha256:{'0' * 64}"},
                "bob": {"authority": f"sha256:{'1' * 64}", "key": f"sha256:{'2' * 64}"},
                "server": {"authority": f"sha256:{'3' * 64}"},
            }
        }
    },
    "a job with approvals": OFF
    | {
        "image": {"digest": f"sha256:{'9' * 64}"},
        "job": {
            "identities": {
                party: {"key": f"sha256:{n:064x}", "approval": f"sha256:{n + 8:064x}"}
                for n, party in enumerate(("alice", "bob", "server"))
            }
        },
    },
    "a queue of one": {"jobs": [{"name": "first"}]},
    "a queue": {"jobs": [{"name": "first"}, {"name": "second", "result": "both"}]},
    "a queue of all kinds": OFF
    | {
        "certificates": {"certManager": {"issuerRef": {"name": "issuer"}}},
        "image": {"digest": f"sha256:{'9' * 64}"},
        "job": {
            "name": "tables",
            "trust_domain": "others",
            "features": {"alice": ["a<b", "b"], "bob": ["c"]},
            "label": {"bob": "d"},
            "identities": {
                party: {"key": f"sha256:{n:064x}", "approval": f"sha256:{n + 8:064x}"}
                for n, party in enumerate(("alice", "bob", "server"))
            },
        },
        "jobs": [
            {"name": "few", "features": ["b"], "training": {"passes": 30, "C": 0.5}},
            {"name": "0-private", "privacy": {"labels": {"epsilon": 3}}, "protocol": "aby3"},
            {
                "name": "batches",
                "features": {"alice": ["a<b"]},
                "training": {"epochs": 1, "batch_size": 8, "learning_rate": 0.00002},
            },
        ],
    },
    "a queue that scores by the model that it trains": scoring_queue(matched=False),
    "a job with private labels": OFF | {"job": {"privacy": {"labels": {"epsilon": 3}}}},
    "a job with private labels at Alice": OFF
    | {
        "job": {
            "features": {"alice": ["a"], "bob": ["b"]},
            "label": {"alice": "d"},
            "privacy": {"labels": {"epsilon": 0.5}},
        }
    },
    "a job in its long forms": OFF
    | {
        "job": {
            "features": {"alice": ["a"], "bob": ["b", "c"]},
            "label": {"alice": "d"},
            "model": {"kind": "linear-regression", "unit": 2.5},
            "result": "own",
        }
    },
    "a job of columns of all kinds": OFF
    | {
        "job": {
            "features": ["a", "b: c", "yes", "d", "e"],
            "label": "f",
            "columns": {
                "a": {"missing": 0.5, "indicator": True, "log1p": True, "clip": [0.01, 1]},
                "b: c": {"type": "category", "values": ["no", "1", "é,"], "missing": "column"},
                "yes": "boolean",
                "d": {"type": "date", "origin": "2000-02-29", "missing": "1999-12-31"},
                "f": {"type": "boolean", "positive": ["yes"], "negative": ["no"]},
            },
        }
    },
    "a job in its shortest long forms": OFF
    | {"job": {"features": {"alice": ["a"]}, "label": {"bob": "d"}, "model": {"kind": KIND}}},
    "a rate of one": OFF | {"job": {"training": {"learning_rate": 1}}},
    "a tiny rate": OFF | {"job": {"training": {"learning_rate": 1.25e-5}}},
    "balanced classes": OFF | {"job": {"training": {"class_weight": "balanced", "rarest": 0.1}}},
    "former models at both": OFF
    | {
        "job": {
            "features": {"alice": ["a"], "bob": ["b"]},
            "label": {"bob": "d"},
            "training": {"start": "model"},
        }
    },
    "a model that is kept, and one that is opened": OFF
    | {
        "jobs": [{"name": "a", "result": "kept"}, {"name": "b", "kept": "0" * 64}],
        "storage": {"enabled": False},
        **{party: {"state": {"existingClaim": party}} for party in ("alice", "bob", "server")},
    },
    "a kept model that began from former ones is opened": OFF
    | {"job": {"training": {"start": "model"}, "kept": "0" * 64}},
    "a training from a kept model": OFF
    | {
        "job": {"training": {"start": "0" * 64}, "result": "kept"},
        **{party: {"state": {"existingClaim": party}} for party in ("alice", "bob", "server")},
    },
    "a queue that begins from one": OFF
    | {"jobs": [{"name": "a", "training": {"start": "0" * 64}, "result": "own"}]},
    "one fold, and so none": OFF | {"job": {"training": {"passes": 3}, "evaluation": {"folds": 1}}},
    "a queue that opens one": OFF
    | {"jobs": [{"name": "a", "training": {"start": "model"}, "kept": "0" * 64}]},
    "rows that are scored": OFF
    | {
        "job": {
            "features": {"alice": ["a"], "bob": ["b: c"]},
            "columns": {"b: c": {"type": "category", "values": ["no", "1"]}},
            "model": {"kind": "joint-scores", "holder": "bob", "trained_by": "0" * 64},
            "trust_domain": "others",
            "result": "both",
        },
        "alice": {"keysSecret": "others-alice-keys", "tableVolume": {"size": "1Gi"}},
    },
    "rows that are scored by a linear regression": OFF
    | {
        "job": {
            "features": {"alice": ["a"], "bob": ["b"]},
            "model": {
                "kind": "joint-scores",
                "holder": "alice",
                "trained_by": "0" * 64,
                "predicts": "linear-regression",
                "unit": 2.5,
            },
            # As an invitation writes it.
            "training": {"passes": 200, "tolerance": 0.001, "C": 1.0, "rarest": 0.01},
        }
    },
    "alice alone, the others in her cluster": OFF
    | {
        "bob": {"enabled": False, "namespace": "police"},
        "server": {"enabled": False, "namespace": "third"},
    },
    "bob alone, the others elsewhere": OFF
    | {
        "alice": {
            "enabled": False,
            "address": "alice.example:7100",
            "networks": ["192.0.2.0/24", "198.51.100.7/32"],
        },
        "bob": {"service": {"type": "LoadBalancer", "annotations": {"example/internal": "true"}}},
        "server": {"enabled": False, "address": "[2001:db8::3]:7200"},
    },
    "the third server behind a node port": OFF
    | {
        "alice": {"enabled": False, "address": "192.0.2.1:30001"},
        "bob": {"enabled": False, "address": "bob.example:30002"},
        "server": {
            "address": "server.example:30003",
            "service": {
                "type": "NodePort",
                "nodePort": 30003,
                "externalTrafficPolicy": "Local",
            },
            "annotations": {"a": "1"},
        },
    },
    "nobody": OFF | {party: {"enabled": False} for party in ("alice", "bob", "server")},
    "Secrets of one's own": OFF
    | {
        "alice": {"keysSecret": "12345", "tableSecret": "1e3", "tableParts": 3},
        "bob": {"tableParts": 40},
        "server": {"keysSecret": "issued.by.cert-manager"},
    },
    "tables on volumes": OFF
    | {
        "alice": {
            "tableVolume": {"size": "20Gi", "storageClass": "fast", "path": "a/b"},
            "annotations": {"note": "1"},
        },
        "bob": {"tableVolume": {"existingClaim": "12345"}},
        "storage": {"keep": False},
    },
    "scheduling": OFF
    | {
        "alice": {
            "nodeSelector": {"disk": "ssd", "zone": "1"},
            "tolerations": [
                {
                    "key": "k",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 10**7,
                }
            ],
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
                        ]
                    }
                }
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "zone",
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": {"a": "b"}},
                }
            ],
            "priorityClassName": "1000",
        },
        "bob": {"resources": {"requests": {"cpu": 1}, "limits": {"cpu": "2", "memory": "1.5Gi"}}},
        "terminationGracePeriodSeconds": 3600,
    },
    "labels and annotations": OFF
    | {
        "alice": {
            "labels": {"team": "yes", "version": "1.10", "app.kubernetes.io/name": "not-this"},
            "annotations": {"note": "a: b # c", "number": "1"},
            "service": {"type": "LoadBalancer", "annotations": {"number": "2"}},
        },
        "metrics": {
            "annotations": True,
            "serviceMonitor": True,
            "alerts": True,
            "dashboard": True,
        },
    },
    "network": OFF
    | {
        "ports": {"party": 443, "status": 9000},
        "networkPolicy": {
            "statusFrom": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "metrics"}}},
                {"ipBlock": {"cidr": "10.0.0.0/8"}},
            ],
            "dnsTo": [],
        },
    },
    "OpenShift": {
        "security": {"user": 0},
        "networkPolicy": {
            "dnsTo": [
                {
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}
                    }
                }
            ],
            "dnsPort": 5353,
        },
        "demo": {"resources": {"limits": {"cpu": "200m"}}},
    },
    "events": OFF
    | {
        "events": {"apiServer": ["192.0.2.1/32", "2001:db8::1/128"], "port": 443},
        "bob": {"namespace": "police", "annotations": {"a": "1"}},
        "server": {"enabled": False},
    },
    "no policies, no budget": OFF
    | {"networkPolicy": {"enabled": False}, "podDisruptionBudget": {"enabled": False}},
    "certificates from cert-manager": OFF
    | {
        "certificates": {"certManager": {"issuerRef": {"name": "1e3", "kind": "ClusterIssuer"}}},
        "alice": {"keysSecret": "issued"},
        "job": {"identities": PINS},
    },
    "volumes of many kinds": OFF
    | {
        "storage": {"className": "slow"},
        "alice": {"state": {"size": "5Gi", "storageClass": "fast"}},
        "bob": {"state": {"existingClaim": "1e3"}},
    },
    "no volumes": OFF | {"storage": {"enabled": False}, "bob": {"state": {"size": "2Gi"}}},
    "storage and image": OFF
    | {
        "storage": {"className": "fast", "size": "10Gi", "keep": False},
        "image": {
            "repository": "registry.example:5000/kit",
            "digest": "sha256:" + "0" * 64,
            "pullPolicy": "Always",
            "pullSecrets": ["one", "two"],
        },
        "waitSeconds": 31_536_000,
        "timeLimitSeconds": 1_000_000,
        "server": {"memoryLimitMib": 1_000_000},
    },
}
"""What values may say, in as few sets of values as it takes."""
