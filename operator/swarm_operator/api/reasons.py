"""The closed list of reasons: every `reason` in a condition and every Event reason is a member of this enum. Docs are generated from it."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """CamelCase reasons with one line each on what they mean and what the user can do."""

    doc: str

    def __new__(cls, value: str, doc: str = "") -> Reason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member

    # all kinds
    RECONCILED = "Reconciled", "Observed state matches the spec."
    PROGRESSING = "Progressing", "Work towards the spec is under way."
    IDLE = "Idle", "Nothing left to do for this generation."
    PAUSED = "Paused", "spec.paused is set: nothing is changed until it is unset."
    NOT_PAUSED = "NotPaused", "spec.paused is not set."
    DELETING = "Deleting", "The object is being deleted; external resources are removed first."
    INVALID_SPEC = "InvalidSpec", "The spec can't be carried out; the message names the field. Edit the spec."
    AS_EXPECTED = "AsExpected", "No problem found."
    NOT_EVALUATED = "NotEvaluated", "Not looked at yet because an earlier step is not done."
    INTERNAL_ERROR = "InternalError", "A defect in the operator; it retries. Report it with the operator's log."
    # credentials and cloud
    CREDENTIALS_ACCEPTED = "CredentialsAccepted", "Keystone issued a token for the credentials."
    SECRET_NOT_FOUND = "SecretNotFound", "The Secret named in the spec does not exist or lacks the key. Create it."
    CLOUD_NOT_FOUND = "CloudNotFound", "clouds.yaml has no entry of that cloudName."
    CREDENTIALS_MALFORMED = "CredentialsMalformed", "clouds.yaml in the Secret can't be parsed."
    AUTHENTICATION_FAILED = "AuthenticationFailed", "Keystone refused the credentials."
    CREDENTIALS_EXPIRING = "CredentialsExpiring", "The credentials expire soon. Make new ones and put them into the Secret; no restart is needed."
    CREDENTIALS_EXPIRED = "CredentialsExpired", "The credentials have expired. Make new ones and put them into the Secret; no restart is needed."
    CLOUD_UNREACHABLE = "CloudUnreachable", "An OpenStack API does not answer; retried with back-off. Nothing is destroyed meanwhile."
    CLOUD_FAILING = "CloudFailing", "An OpenStack API answers with an internal error (5xx); retried with back-off. Nothing is destroyed meanwhile."
    CONFLICT = "Conflict", "The object is in a state that forbids the call, or changed meanwhile (409); looked at again within seconds."
    FORBIDDEN = (
        "Forbidden",
        "The cloud's policy forbids the call for these credentials; the message is the cloud's. Give them a role that may, or let the spec ask for less.",
    )
    RATE_LIMITED = "RateLimited", "The cloud asked to slow down; retried after the time it named."
    QUOTA_EXCEEDED = "QuotaExceeded", "A quota of the project is used up; raise it or free resources. Retried slowly."
    NO_CAPACITY = "NoCapacity", "The cloud found no host for a server (No valid host). Retried slowly."
    ADDRESSES_EXHAUSTED = (
        "AddressesExhausted",
        "A subnet has no free address for a port, or an external network none for a floating IP. Free some, or add a subnet or allocation pool. No other zone or flavor is tried. Retried slowly.",
    )
    REFERENCE_NOT_FOUND = "ReferenceNotFound", "A flavor, image, network or other object named in the spec does not exist in the cloud."
    REFERENCE_AMBIGUOUS = "ReferenceAmbiguous", "A name or filter in the spec matches more than one object; use an id."
    ADDRESS_IN_USE = (
        "AddressInUse",
        "A floating IP that the spec names is on somebody else's port, or another cluster's. It is not taken away: free it, or name another.",
    )
    NAME_CONFLICT = "NameConflict", "An object of our name exists that is not ours; it is never taken over."
    INFRASTRUCTURE_PENDING = "InfrastructurePending", "Network, security group, key pair or floating IP are not complete yet."
    INFRASTRUCTURE_COMPLETE = "InfrastructureComplete", "Network, security group, key pair and floating IPs exist as declared."
    # machines and swarm
    SERVER_FAILED = "ServerFailed", "Nova reports ERROR for a server; the message carries the fault text. It is replaced."
    SERVER_BUILDING = "ServerBuilding", "Servers are being built."
    MANAGER_UNREACHABLE = "ManagerUnreachable", "No manager answers on its Docker API or ssh."
    MANAGER_BOOTSTRAPPING = "ManagerBootstrapping", "The manager is being configured or the swarm initialised."
    QUORUM = "Quorum", "A majority of managers is reachable and there is a leader."
    QUORUM_LOST = "QuorumLost", "No majority of managers: the swarm can't be changed."
    SWARM_LOCKED = "SwarmLocked", "Managers are locked after a restart of their engine and are being unlocked."
    UNLOCK_KEY_MISSING = "UnlockKeyMissing", "No key in the Secret of unlock keys opens a locked manager. Put the right one there."
    ROTATING = "Rotating", "The swarm's root CA or unlock key is being changed."
    NODES_JOINING = "NodesJoining", "Nodes are joining the swarm."
    NODES_DOWN = "NodesDown", "Nodes are down in the swarm."
    DUPLICATE_NODE = (
        "DuplicateNode",
        "Several ready nodes carry the UID of one machine; the message names them and which one its engine says it is. Nothing is removed while it is ready: stop the other engine.",
    )
    NODES_READY = "NodesReady", "All machines are nodes in state ready."
    NODES_DRAINING = "NodesDraining", "Nodes are being drained before removal, or wait until services can do without them."
    ROLLING_OUT = "RollingOut", "Machines are changed to what the spec says, a few at a time."
    ROLLOUT_HALTED = (
        "RolloutHalted",
        "A new machine failed; the message says which and how. Change the template, the engine's settings or spec.rollout to go on.",
    )
    MACHINES_OUTDATED = (
        "MachinesOutdated",
        "Machines are not as declared and are left so: spec.rollout.strategy is OnDelete (delete their servers to have them replaced), or it is the only manager (spec.rollout.loneManager).",
    )
    WINDOW_CLOSED = "WindowClosed", "Machines are to be changed in the next of spec.maintenanceWindows."
    BUDGET_EXHAUSTED = "BudgetExhausted", "Too many machines are unhealthy at once: the cause is elsewhere, and nothing is repaired or replaced."
    ZONE_DOWN = "ZoneDown", "All machines of an availability zone are unhealthy at once: nothing is repaired or replaced until one of them is back."
    RETRY_BUDGET_EXHAUSTED = (
        "RetryBudgetExhausted",
        "As many repairs and replacements were made as spec.remediation.retryBudget allows, and machines still fail: frozen until the window is over.",
    )
    HOST_KEY_UNVERIFIED = "HostKeyUnverified", "The guest's ssh host key is not on the Nova console yet or differs from it."
    ENGINE_FAILED = "EngineFailed", "The Docker engine of a machine does not start or refuses a request."
    DELETION_BLOCKED = "DeletionBlocked", "Something prevents the removal of external resources; the message says what."
    ADOPTION_PENDING = (
        "AdoptionPending",
        "What carries the UID of spec.adopt is not what the spec declares; the message says how. Nothing is changed. Edit the spec.",
    )
    ADOPTED = "Adopted", "A cluster whose object was lost has been taken over."
    ABANDONED = "Abandoned", "The finalizer was removed on demand; the message names what was left in the cloud. It carries the cluster's UID."
    RETAINED = (
        "Retained",
        "It stays on purpose (spec.deletionPolicy, `retain` of a data volume): the message names what, and where a cluster is deleted a new one can take it over.",
    )
    ORPHANS_FOUND = "OrphansFound", "Objects carry the cluster's UID and serve no part of it; delete them, or set spec.orphans to Delete."
    VOLUMES_PENDING = "VolumesPending", "Data volumes are being made, attached, formatted, mounted or extended."
    VOLUME_REFUSED = (
        "VolumeRefused",
        "A data volume holds something that is not ours, or can't be mounted where the spec says; nothing is written to it. The message says what to do.",
    )
    VOLUME_FAILED = "VolumeFailed", "Cinder reports an error for a data volume, or a command on the guest failed; the message has its text."
    BACKUP_PENDING = "BackupPending", "The first backup of the raft state is still to come, or is being made."
    BACKUP_DONE = "BackupDone", "The last backup of the raft state is complete."
    BACKUP_FAILED = "BackupFailed", "The last backup of the raft state failed; the message says how. It is tried again."
    IMAGE_PENDING = "ImagePending", "A snapshot is not taken yet, or an image is still on its way to Glance; machines that boot from it wait."
    IMAGE_READY = "ImageReady", "A snapshot was taken, or an image is in Glance: machines can boot from it."
    IMAGE_FAILED = (
        "ImageFailed",
        "A snapshot could not be taken, its image was deleted by somebody else, or an image could not be fetched; the message says which.",
    )
    SPREAD_DEGRADED = "SpreadDegraded", "Servers share a host or a zone, or are in a fallback zone or in no server group; the message names them."
    # pools
    ACCEPTED = "Accepted", "The pool is a part of its SwarmCluster."
    WORKERS_PENDING = "WorkersPending", "Workers of the pool are being made, changed or removed, or are not ready; the message counts them."
    # services
    CLUSTER_NOT_FOUND = "ClusterNotFound", "spec.clusterRef names no SwarmCluster in this namespace."
    CLUSTER_NOT_READY = "ClusterNotReady", "The SwarmCluster has no reachable manager yet."
    APPLIED = "Applied", "The engine holds the declared service."
    DRIFT_FOUND = "DriftFound", "The live service differs from the spec; the message lists the fields."
    DRIFT_CORRECTED = "DriftCorrected", "A change made outside was put back."
    DRIFT_CONFLICT = (
        "DriftConflict",
        "Somebody keeps changing back what is corrected; corrections are spaced out. Find the other writer, or leave the field out of the spec.",
    )
    NO_DRIFT = "NoDrift", "The live service equals the spec."
    ENGINE_REJECTED = "EngineRejected", "The Docker engine refused the service; the message is the engine's."
    UNSUPPORTED_FIELD = "UnsupportedField", "The engine's API version can't carry a field; it would be dropped silently."
    NETWORK_NOT_FOUND = "NetworkNotFound", "A network named in the spec does not exist in the swarm."
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound", "A ConfigMap named in the spec does not exist or lacks the key. Create it."
    MATERIAL_NOT_FOUND = (
        "MaterialNotFound",
        "A config or secret named in the spec does not exist in the swarm. Create it there, or refer to a ConfigMap or Secret.",
    )
    MATERIAL_INVALID = "MaterialInvalid", "The content of a ConfigMap or Secret can't become a config or secret of the swarm, or a pull secret can't be read."
    IMAGE_UNRESOLVED = "ImageUnresolved", "The registry did not give the digest of the image; the tag is deployed as it is."
    UPDATING = "Updating", "A rolling update is running."
    UPDATE_PAUSED = "UpdatePaused", "The engine paused the update after failures."
    ROLLED_BACK = "RolledBack", "The engine rolled the update back; the spec is held until it changes."
    UPDATE_RESUMED = "UpdateResumed", "An update that the engine had paused is continued, as spec.pausedUpdate says."
    PINNED = "Pinned", "spec.rollbackTo holds the service at an earlier revision. Remove it to apply the spec again."
    NOT_PINNED = "NotPinned", "spec.rollbackTo is not set: the spec is what applies."
    REVISION_NOT_FOUND = "RevisionNotFound", "spec.rollbackTo names a revision that is not kept; nothing is written. status.revisions lists those that are."
    REVISION_NOT_KEPT = "RevisionNotKept", "The ControllerRevision of what was applied could not be written; the message says why. Tried again."
    TASKS_STARTING = "TasksStarting", "Fewer tasks run than declared."
    TASKS_FAILING = "TasksFailing", "Tasks fail or are rejected; the message carries the engine's error."
    TASKS_RUNNING = "TasksRunning", "As many tasks run as declared, and have done so for the monitor time."
    JOB_RUNNING = "JobRunning", "Tasks of a job are still to complete."
    JOB_COMPLETED = "JobCompleted", "All tasks of the job's present run have completed."
    SCHEDULED = "Scheduled", "The job waits for its time; an edit is written with the next run, since writing it would run the job."
    RUN_SKIPPED = "RunSkipped", "A scheduled run was not started; the message says why."
    NO_ELIGIBLE_NODE = "NoEligibleNode", "No ready, active node satisfies the placement."
    PLACEMENT_INFEASIBLE = (
        "PlacementInfeasible",
        "More replicas are declared than placement.maxReplicas lets run on the eligible nodes. Lower one, or add nodes.",
    )
    # stacks
    INVALID_COMPOSE = (
        "InvalidCompose",
        "The compose file can't be carried out; the message names the places. Nothing of the stack is changed until it is edited.",
    )
    KEYS_IGNORED = "KeysIgnored", "Keys of the compose file are ignored, as `docker stack deploy` does; the message names them."
    SERVICES_NOT_READY = "ServicesNotReady", "Services of the stack are not Ready; the message names them and says why."
    SERVICE_REFUSED = "ServiceRefused", "The API server refused a SwarmService of the stack; the message is its own. Edit the compose file."
    NETWORK_DIFFERS = "NetworkDiffers", "A network of the stack is not as the file says, and a network can't be changed: give it another name."
    # events
    CREATED = "Created", "An external object was created."
    UPDATED = "Updated", "An external object was updated."
    DELETED = "Deleted", "An external object was deleted."
    REPLACED = "Replaced", "A machine is being replaced."
    PREEMPTED = "Preempted", "The cloud stopped or deleted a server of a preemptible pool; it is started or replaced at once."
    PROMOTED = "Promoted", "A worker becomes a manager in the place of one that is lost (spec.managers.promoteFrom)."
    REPAIRED = "Repaired", "A repair of a failed machine was tried: its engine restarted, joined again, its server started or rebooted."
    PRESERVED = "Preserved", "A failed machine was taken out of the swarm and its server kept, as the annotation swarmops.io/preserve asks."
    SCALED = "Scaled", "The number of machines or replicas changed."
    REBALANCED = "Rebalanced", "Nodes have changed, and spec.rebalance has all tasks of the service replaced so that they are spread anew."
    TOKEN_ROTATED = "TokenRotated", "Swarm join tokens were rotated."
    KEY_ROTATED = "KeyRotated", "The unlock key was made, stored, rotated, or a former one forgotten."
    RECOVERED = "Recovered", "A swarm whose majority of managers was gone was made anew from one that was left."
    CA_ROTATED = "CARotated", "A rotation of the swarm's root CA began or is complete."

    @property
    def text(self) -> str:
        """One line for the documentation."""
        return self.doc
