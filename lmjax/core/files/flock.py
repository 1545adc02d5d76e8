"""The kernel's locks of open files, which end with the process that holds them.
"""
import errno
import fcntl

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def acquire(descriptor: int) -> bool | None:
  """Locks an open file or folder until its descriptor is closed.

  Returns:
    Whether it was free; None if the file system does not support locks.
  """
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError as error:
    if error.errno in _UNSUPPORTED:
      return None
    raise
  return True
