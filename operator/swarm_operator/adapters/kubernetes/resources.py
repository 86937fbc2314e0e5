"""From the JSON of one of our objects to the `Resource` of the port."""

from __future__ import annotations

from swarm_operator.adapters.kubernetes.api import Json
from swarm_operator.ports.objects import Key, Kind, Resource


def resource_of(kind: Kind, item: Json) -> Resource:
    """The Resource of an object's JSON. `item` comes from the API server: metadata is complete; spec and status are absent where nobody set them."""
    metadata = item["metadata"]
    return Resource(
        key=Key(kind, metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        resource_version=metadata["resourceVersion"],
        spec=item.get("spec") or {},
        status=item.get("status") or {},
        deleting="deletionTimestamp" in metadata,
        finalizers=tuple(metadata.get("finalizers") or ()),
        annotations=dict(metadata.get("annotations") or {}),
        owners=tuple(reference["uid"] for reference in metadata.get("ownerReferences") or ()),
    )
