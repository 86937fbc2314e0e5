"""RabbitMQ: the message bus of the OpenStack services, with nothing of the machine's own RabbitMQ and on loopback only."""

from __future__ import annotations

from swarmlab import paths, probe, process, secrets

_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""Not the wrapper in /usr/sbin: that one changes to the user rabbitmq, who may not enter STATE."""


def transport_url() -> str:
    """The address for oslo.messaging's ``transport_url``."""
    return f"rabbit://openstack:{secrets.get('rabbitmq')}@{paths.LOOPBACK}:{paths.PORT_AMQP}/"


def configure() -> None:
    """Write the server's configuration."""
    home = paths.STATE / "rabbitmq"
    home.mkdir(parents=True, exist_ok=True)
    lines = [
        f"listeners.tcp.local = {paths.LOOPBACK}:{paths.PORT_AMQP}",
        "default_user = openstack",
        f"default_pass = {secrets.get('rabbitmq')}",
        "vm_memory_high_watermark.absolute = 1GB",
        "disk_free_limit.absolute = 50MB",
        "log.console = true",
        "log.console.level = warning",
        "log.file = false",
    ]
    (home / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
    (home / "enabled_plugins").write_text("[].\n")


def service() -> process.Service:
    """The broker. Erlang's port mapper (epmd) and distribution port are bound to loopback; epmd carries our mark, too."""
    home = paths.STATE / "rabbitmq"
    env = {
        "HOME": str(home),  # the Erlang cookie lives there
        "RABBITMQ_NODENAME": "swlrabbit@localhost",
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # the machine's own /etc/rabbitmq/rabbitmq-env.conf is not for us
        "RABBITMQ_DIST_PORT": str(paths.PORT_ERLANG_DISTRIBUTION),
        "ERL_EPMD_ADDRESS": paths.LOOPBACK,
        "ERL_EPMD_PORT": str(paths.PORT_EPMD),
        # No busy waiting of idle schedulers: the machine may have two cores.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ("-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"),
    }
    return process.Service("rabbitmq", [_SERVER], lambda: probe.amqp(paths.LOOPBACK, paths.PORT_AMQP), env)
