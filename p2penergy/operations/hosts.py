"""The machines of a network, as a person writes them down: one file for founding, deploying and measuring.

Lives here: the lines of that file. Never here: what is put on the machines (`testnet`, `deploy`).

    HOST[:PORT] [SSH-NAME]      # where its nodes are reached; how ssh reaches it, if that is another name
"""

from dataclasses import dataclass
from pathlib import Path

from p2penergy.config import ConfigError, parse_address
from p2penergy.founding import FoundingError

PORT = 7440
HOSTS_FILE_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """One line."""

    host: str
    port: int
    """The first port for nodes."""
    ssh_name: str
    """What ssh is told: a host, USER@HOST, or a name of the user's ssh configuration."""

    @property
    def address(self) -> tuple[str, int]:
        """Where nodes are reached."""
        return self.host, self.port


def hosts_from(text: str) -> list[Machine]:
    """Machines from `a,b,c` or from a file with one per line, `#` begins a comment.

    Raises:
        FoundingError: the file can't be read, there is no host in it, or one is no host.
    """
    path = Path(text)
    try:
        from_file = path.is_file()
        if from_file:
            with path.open(encoding="utf-8") as file:
                lines = file.read(HOSTS_FILE_BYTES_MAX).splitlines()
            words = [line.partition("#")[0].strip() for line in lines]
        elif "/" in text or text.endswith(".txt"):
            raise FoundingError(f"there is no file {text}: write a,b,c or a file with one host per line")
        else:
            words = [word.strip() for word in text.split(",")]
    except (OSError, UnicodeDecodeError) as error:
        raise FoundingError(f"{path} can't be read: {error}") from None
    machines = [_machine(word, from_file) for word in words if word]
    if not machines:
        raise FoundingError(f"{text!r} names no host: write a,b,c or a file with one host per line")
    return machines


def _machine(line: str, may_name_ssh: bool) -> Machine:
    word, _, ssh_name = line.partition(" ") if may_name_ssh else (line, "", "")
    bare = word if word.rpartition(":")[2].isdecimal() and not word.endswith("]") else f"{word}:{PORT}"
    ssh_name = ssh_name.strip()
    try:
        host, port = parse_address(bare, "host")
    except ConfigError as error:
        raise FoundingError(str(error)) from None
    if len(ssh_name.split()) > 1:
        raise FoundingError(f"{line!r} has more than two words: write HOST:PORT and the name for ssh")
    if (ssh_name or host).startswith("-"):
        raise FoundingError(f"{ssh_name or host!r} can't be the name of a machine: it begins with a dash")
    return Machine(host, port, ssh_name or host)
