from dataclasses import dataclass
@dataclass
class About:
    title: str
    facts: dict
def write(*a): ...
